"""What is worth saying about a row when its message was made, or could not be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mailer.address import domain_of
from mailer.errors import LetterError
from mailer.merge.complaints import at_line
from mailer.model import Contact, Problem, Severity, SkippedRow, as_said, counted, joined, said

# Most relays take 10 to 50 MB, and a letter to thousands should be far below; see also the relay's own SIZE.
MAX_MESSAGE_BYTES = 10_000_000


MAY_BE_BLANK = "field-not-required"


def watched(warnings: Iterable[Problem]) -> tuple[str, ...]:
    """The fields of which the letter's check says that they may be blank."""
    return tuple(dict.fromkeys(item.column for item in warnings if item.code == MAY_BE_BLANK and item.column))


def told(warnings: Iterable[Problem], blank: Mapping[str, tuple[int, int]]) -> list[Problem]:
    """The warnings, where «may be blank in some rows» became in how many and which, or went."""
    return [
        _counted(item, *blank[item.column or ""]) if item.code == MAY_BE_BLANK else item
        for item in warnings
        if item.code != MAY_BE_BLANK or item.column in blank
    ]


def _counted(item: Problem, count: int, first: int) -> Problem:
    sentence = counted(
        "the field {name} is blank in row {row}.",
        "the field {name} is blank in {number} rows, the first of them row {row}.",
        count,
        name=item.column,
        row=first,
    )
    return replace(item, code="blank-field", message=at_line(item.line, sentence))


def skipped(contact: Contact, problems: Iterable[Problem]) -> SkippedRow:
    """The row that gets no message, with all the reasons in one."""
    reason = joined("; ", (problem.message for problem in problems))
    return SkippedRow(row=contact.row, address=contact.address, reason=reason)


def problems_of(contact: Contact, error: LetterError) -> Sequence[Problem]:
    """What went wrong with a row, as problems."""
    return error.problems or (Problem(code="letter", message=error.message, row=contact.row),)


def in_list(path: str, problem: Problem) -> Problem:
    """What came up while a row was merged, told with the file whose row it is; the letter's file and line follow."""
    if not problem.file:
        return replace(problem, file=path)
    message = said("{file}, {sentence}", file=problem.file, sentence=as_said(problem.message))
    return replace(problem, file=path, message=message)


def unaligned(senders: Iterable[tuple[str, Sequence[str]]]) -> list[Problem]:
    """Warn of senders for whom the domains that sign do not vouch (DMARC, RFC 7489, section 3.1.1).

    Without the list of public suffixes nobody can tell whether a.example.org and b.example.org are one organisation's.
    """
    pairs = {(domain_of(sender), signer) for sender, signers in senders for signer in signers}
    return [
        Problem(
            code="dkim-not-aligned",
            message=said(
                "messages are from {domain}, but signed by {signer}: that counts with receivers (DMARC) "
                "only if both are parts of one domain",
                domain=domain,
                signer=signer,
            ),
            severity=Severity.WARNING,
            hint="set dkim_domain to the sender's domain, and publish the key there",
        )
        for domain, signer in sorted(pairs)
        if not f".{domain}".endswith(f".{signer}") and not f".{signer}".endswith(f".{domain}")
    ]


def check_size(contact: Contact, size: int) -> None:
    """Raise LetterError for a message that relays would refuse."""
    if size > MAX_MESSAGE_BYTES:
        sentence = said(
            "the message has {size:.1f} MB with its attachments; at most {most:.0f} MB",
            size=size / 1e6,
            most=MAX_MESSAGE_BYTES / 1e6,
        )
        problem = Problem(code="message-too-large", message=sentence, row=contact.row, hint="use smaller attachments")
        raise LetterError(said("Row {row}: {sentence}.", row=contact.row, sentence=sentence), problems=[problem])
