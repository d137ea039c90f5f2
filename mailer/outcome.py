"""From a server's reply to what it means: whom it is about, what becomes of the delivery, what to do next.

The knowledge is a table of data, `RULES`: the first rule that fits wins, and the last ones fit by class of code, so that
every reply has an outcome. Texts are matched without the addresses in them. Standard library only; no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mailer import explanations as say
from mailer.model import Action, Outcome, Phase, Reply, Scope, Verdict
from mailer.privacy import without_addresses
from mailer.proxy import BY_PROXY

ANY = frozenset(Phase)
SETUP = frozenset({Phase.CONNECT, Phase.TLS})
AUTH, MAIL, RCPT = frozenset({Phase.AUTH}), frozenset({Phase.MAIL}), frozenset({Phase.RCPT})
LOGIN = AUTH | MAIL
CONTENT = frozenset({Phase.DATA, Phase.CONTENT, Phase.FINAL_DOT})
RECIPIENT = CONTENT | RCPT
TRANSACTION = RECIPIENT | MAIL
DOT = frozenset({Phase.FINAL_DOT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the table. `codes` and `enhanced` must fit as a whole, `text` must occur; None fits all."""

    phases: frozenset[Phase]
    codes: re.Pattern[str]
    enhanced: re.Pattern[str] | None
    text: re.Pattern[str] | None
    result: tuple[Scope, Verdict, Action]
    suppress: bool
    note: str

    def fits(self, phase: Phase, code: str, enhanced: str, text: str) -> bool:
        return (
            phase in self.phases
            and self.codes.fullmatch(code) is not None
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
            and (self.text is None or self.text.search(text) is not None)
        )


def _rule(
    phases: frozenset[Phase],
    codes: str,
    result: tuple[Scope, Verdict, Action],
    note: str,
    *,
    enhanced: str | None = None,
    text: str | None = None,
    suppress: bool = False,
) -> Rule:
    return Rule(
        phases=phases,
        codes=re.compile(codes),
        enhanced=re.compile(enhanced) if enhanced is not None else None,
        text=re.compile(text, re.IGNORECASE) if text is not None else None,
        result=result,
        suppress=suppress,
        note=note,
    )


DEAD = (Scope.RECIPIENT, Verdict.FAILED, Action.CONTINUE)
LATER = (Scope.RECIPIENT, Verdict.DEFERRED, Action.CONTINUE)
QUOTA = (Scope.ACCOUNT, Verdict.REQUEUED, Action.PAUSE)
SENDER = (Scope.ACCOUNT, Verdict.REQUEUED, Action.STOP)
DISTRUST = (Scope.POLICY, Verdict.FAILED, Action.CONTINUE)
DISTRUST_LATER = (Scope.POLICY, Verdict.DEFERRED, Action.CONTINUE)
DISTRUST_WAIT = (Scope.POLICY, Verdict.REQUEUED, Action.PAUSE)
LETTER = (Scope.MESSAGE, Verdict.REQUEUED, Action.STOP)
LOGIN_REFUSED = (Scope.AUTH, Verdict.REQUEUED, Action.STOP)
LOGIN_LATER = (Scope.AUTH, Verdict.REQUEUED, Action.PAUSE)
RELINK = (Scope.CONNECTION, Verdict.REQUEUED, Action.RECONNECT)
NO_ENTRY = (Scope.CONNECTION, Verdict.REQUEUED, Action.STOP)
BLOCKED = (Scope.POLICY, Verdict.REQUEUED, Action.STOP)
UNKNOWN_FATE = (Scope.CONNECTION, Verdict.UNCERTAIN, Action.RECONNECT)

RELAY_TEXT = (
    r"relay(ing)?( access)?( is)? (denied|not permitted|not allowed|disallowed|prohibited)|not permitted to relay|"
    r"unable to relay|credentials for relay|rcpthosts|authentication (is )?(required|needed)|must authenticate\b|"
    r"not authenticated to|not authorized to perform"
)
SUSPENDED_TEXT = (
    r"(sending|outgoing mail.{0,60}|your account)( has been| is| was)? (suspended|paused|disabled)|"
    r"bad outbound sender|OutboundSpamException|UserAction verdict|(your|smtp) account is not (yet )?activated"
)
QUOTA_TEXT = (
    r"max(imum)? (defers and failures|e?mails) per hour|(send(ing)?|outgoing|outbound|relay|submission|message|hourly|"
    r"daily|recipients) (e?mail |message )?(rate )?(limit|quota)( for \S+)?( has been| was)? (exceeded|reached)|"
    r"(exceeded|reached) (your|its|the) (?!.{0,25}(size|storage|mailbox|disk))(\w+ ){0,3}(limit|quota|rate)|"
    r"exceeded (\w+ )?(sending|outgoing|outbound) (\w+ )?(limit|quota)|mail (send )?(limit|quota) exceeded|throttl|"
    r"over ?quota for (sending|outgoing|outbound)|(sending|outgoing|outbound) (e?mail )?(is )?over ?quota|"
    r"SubmissionQuota|too many (messages|e?mails)|sending rate|rate (over)?limit|(messages|mails|recipients) per "
    r"(minute|hour|day) exceeded|sender thread limit|concurrent connections limit|unusual sending activity"
)
PACE_TEXT = r"too much mail from|too many recipients (from|received)|slow down"
UNCONFIRMED_TEXT = r"is not verified|(sender|from) address not verified|verified sender identity"
SENDER_TEXT = (
    r"sender address rejected|sender verify fail|send (as this|on behalf)|SendAsDenied|not owned by user|sender( "
    r"address)? (is )?not (allowed|authori[sz]ed|permitted)|not allowed to send from|domain( \S+)? is not allowed to "
    r"send|sender( address)? does(n.t| not) match|domain of sender\b|sender domain (not found|does(n.t| not) exist)|"
    r"configuration set"
)
SIZE_TEXT = (
    r"(message|mail|file|content) (\w+ ){0,3}(too (large|big|long)|exceed\w* (\S+ ){0,5}size)|"
    r"(message|maximum) (\w+ )?size.*(exceed|limit)|too much mail data"
)
HEADER_TEXT = (
    r"(duplicate|missing|invalid|illegal|malformed|multiple) ((?!dkim)\S+ ){0,3}headers?\b|header (is )?missing|not RFC "
    r"?\d+ compliant|missing start boundary|invalid MIME|multiple addresses in From|missing a valid message-?id"
)
VIRUS_TEXT = r"\bvirus|malware|infected|security issue|\b(attachment|file).*(not allowed|forbidden|prohibited|blocked)"
UNKNOWN_TEXT = (
    r"(user|recipient|mailbox|address|account)( is| was)? (unknown|not found|unavailable|inactive|disabled)|unknown "
    r"(user|recipient|local part)|no such (user|recipient|mailbox|address|person)|does(n.t| not) (exist|have an?)|"
    r"unrout(e)?able|invalid (recipient|mailbox)|not a valid (recipient|mailbox)|address blacklisted|no mailbox here"
)
CLOSED_TEXT = (
    r"RESOLVER\.RST\.(?!SendSize)|only accepts? (mail|messages) from|not (allowed|authori[sz]ed|permitted) to "
    r"(send|post|write)( \w+)? to (this|the) (recipient|mailbox|group|list|address|user)"
)
FULL_TEXT = (
    r"(mailbox|inbox|account|storage|disk|quota)( \w+){0,4} full\b(?! \w)|over ?quota|quota exceeded|"
    r"exceeded (storage|\w+ quota)"
)
FLOOD_TEXT = r"receiving mail (at a rate|too)|recipient thread limit|recipient has exceeded .{0,20}number of messages"
LOCKED_TEXT = r"(?<!your )(mailbox|maildrop) (is )?(\w+ )?(locked|busy|in use)|lock (the |your )?(mailbox|maildrop)"
GREY_TEXT = r"gr[ea]y-?list(?![\w-]*\.\w)|\[GL\d\d\]"
SPAM_TEXT = (
    r"\bspam\b|unsolicited|bulk mail|\bblocked\b|block(ed)? ?list|black ?list|deny ?list|listed (at|by|in|on)\b|"
    r"spamhaus|spamcop|barracuda|reputation|\bdmarc\b|\bspf\b|\bdkim\b|policy (reasons|violation)|due to policy|"
    r"unusual rate|user complaints|banned s|administrative prohibition"
)
# Narrower than SPAM_TEXT, for replies that could as well mean a busy server or a spent quota.
REPUTATION_TEXT = (
    r"reputation|unusual rate|unsolicited|user complaints|users from spam|blocked using|\[TSS?\d\d\]|\bRP-00\d"
)
SENDER_BLOCKED_TEXT = (
    r"sender( address)? (is |was |has been )?(blocked|black ?listed|banned|denied|rejected|refused)|badmailfrom|"
    r"(blocked|banned) sender"
)
HELO_TEXT = r"\b(helo|ehlo)\b.*(rejected|invalid|qualified|denied|blocked)|(bad|invalid) (helo|ehlo)\b"
CONNECTIONS_TEXT = r"too many (\w+ ){0,2}(connections|sessions)"
# RFC 7372 and its registry (20-29), Gmail's (30 also means a login, so it is judged by text) and Microsoft's (500-799).
POLICY_CODE = r"\.7\.(2\d|3[12]|40|[5-7]\d\d)"

NO_TLS = "does not speak TLS from the start"
"""Why there is no connection to a port that greets in plain text, where TLS was to come first (RFC 8314, 3)."""

NO_ENCRYPTION = "the server does not offer STARTTLS"
"""Why a connection ends before the login, where the server's list of extensions lacks it (RFC 3207)."""

SIGN_IN = "no token to sign in with"
"""How it begins why there was no login: the sign-in service gives no token (OAuth 2)."""

BEGINNINGS = {SIGN_IN: say.SIGN_IN, NO_ENCRYPTION: say.TLS, BY_PROXY: say.PROXY}
"""What is said of connections whose end we put in words ourselves, by how those begin."""

LOST = {
    Phase.AUTH: "The mail server hung up during the login. " + say.LOGIN,
    Phase.TLS: "No safe connection to the mail server. Check host, port and security in the settings.",
    Phase.CONNECT: "The mail server cannot be reached. Check the network, and host and port in the settings.",
}

RULES = (
    # After the dot only 2xx, 4xx and 5xx are an answer (RFC 5321, 4.2.1); anything else proves nothing.
    _rule(DOT, r"2\d\d", (Scope.RECIPIENT, Verdict.SENT, Action.CONTINUE), say.SENT),
    _rule(DOT, r"(?![45]\d\d$).*", UNKNOWN_FATE, say.UNSURE),
    # A login that is put off, by 421 too, or an answer that makes no sense: whoever tries on soon is locked out.
    _rule(AUTH, r"4(?!21)\d\d", LOGIN_REFUSED, say.LOGIN, text=r"too many (?!auth )|transition|password"),
    _rule(AUTH, r"(?!5\d\d$).*", LOGIN_LATER, say.LOGIN_WAIT),
    # The receiving side puts us off, be it with 421 or while it speaks of rates. Connecting again at once makes it worse.
    _rule(RECIPIENT, r"4\d\d", LATER, say.GREY, text=GREY_TEXT),
    _rule(TRANSACTION, r"4\d\d", DISTRUST_LATER, say.REPUTATION, enhanced="4" + POLICY_CODE),
    _rule(TRANSACTION, r"4\d\d", DISTRUST_LATER, say.REPUTATION, text=REPUTATION_TEXT),
    _rule(SETUP, r"4\d\d", DISTRUST_WAIT, say.REPUTATION, text=REPUTATION_TEXT),
    _rule(ANY, r"421", RELINK, say.CONNECTIONS, text=CONNECTIONS_TEXT),
    _rule(ANY, r"421", RELINK, say.BUSY),
    # The receiving side does not trust us, in words that else look like a login, a quota or an unknown mailbox.
    _rule(TRANSACTION, r"5\d\d", SENDER, say.TENANT, enhanced=r"5\.7\.(705|708|750)"),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, enhanced="5" + POLICY_CODE),
    _rule(MAIL, r"5\d\d", BLOCKED, say.POLICY, enhanced="5" + POLICY_CODE),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, enhanced=r"5\.7\.30", text=r"\bdkim\b"),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, text=r"due to (\w+ )?reputation"),
    # Connection and login. 454 may be passing, but whoever strips encryption says it too: never knock on and on.
    _rule(frozenset({Phase.TLS}), r"454|5\d\d", NO_ENTRY, say.TLS),
    _rule(SETUP, r"4\d\d", RELINK, say.SERVER),
    _rule(SETUP, r"5\d\d", BLOCKED, say.DOOR, text=SPAM_TEXT),
    _rule(SETUP, r"5\d\d", NO_ENTRY, say.SERVER),
    _rule(LOGIN, r"538", LOGIN_REFUSED, say.ENCRYPT),
    _rule(LOGIN, r"5\d\d", LOGIN_REFUSED, say.ENCRYPT, text=r"encryption (is )?required|must issue a STARTTLS"),
    _rule(AUTH, r"5\d\d", LOGIN_REFUSED, say.LOGIN),
    _rule(ANY, r"53[0458]", LOGIN_REFUSED, say.LOGIN),
    _rule(ANY, r"5\d\d", LOGIN_REFUSED, say.LOGIN, enhanced=r"5\.7\.(3|8|14|30|57|139)"),
    _rule(LOGIN, r"5\d\d", LOGIN_REFUSED, say.LOGIN, enhanced=r"5\.7\.9", text=r"^(?!.*\bpolicy\b)"),
    # Limits of the receiving side that look like ours: Gmail says 450 4.2.1 and 550 5.2.1 for both.
    _rule(RECIPIENT, r"5\d\d", DEAD, say.CLOSED, text=CLOSED_TEXT),
    _rule(RECIPIENT, r"[45]\d\d", LATER, say.FLOOD, text=FLOOD_TEXT),
    _rule(RECIPIENT, r"[45]\d\d", LATER, say.FLOOD, enhanced=r"[45]\.2\.12[12]"),
    _rule(RECIPIENT, r"[45]\d\d", LATER, say.FULL, enhanced=r"[45]\.2\.2"),
    # The size of the message, before limits of other kinds.
    _rule(TRANSACTION, r"5\d\d", LETTER, say.SIZE, enhanced=r"5\.3\.4"),
    _rule(CONTENT | MAIL, r"5\d\d", LETTER, say.SIZE, enhanced=r"5\.2\.3"),
    _rule(TRANSACTION, r"5\d\d", LETTER, say.SIZE, text=SIZE_TEXT),
    _rule(MAIL, r"[45]\d\d", SENDER, say.OWN_FULL, enhanced=r"[45]\.2\.2"),
    _rule(MAIL, r"552", LETTER, say.SIZE),
    # The sending account: not logged in, suspended, over its quota, or not allowed this sender.
    _rule(TRANSACTION, r"[45]\d\d", LOGIN_REFUSED, say.RELAY, text=RELAY_TEXT),
    _rule(TRANSACTION, r"5\d\d", QUOTA, say.QUOTA, text=r"verdict is RefuseQuota"),
    _rule(TRANSACTION, r"5\d\d", SENDER, say.SUSPENDED, text=SUSPENDED_TEXT),
    _rule(TRANSACTION, r"5\d\d", QUOTA, say.QUOTA, enhanced=r"5\.4\.5|5\.1\.90|5\.5\.3|5\.7\.23[236]"),
    _rule(TRANSACTION, r"[45]\d\d", QUOTA, say.QUOTA, text=QUOTA_TEXT),
    # Postfix (anvil) counts by the minute and over all connections: to connect again does not help, and for it every
    # recipient is the wrong one at this moment. So it is treated as a quota: rest, or stop with exit code 4.
    _rule(TRANSACTION, r"4\d\d", QUOTA, say.PACE, text=PACE_TEXT),
    _rule(RECIPIENT, r"5\d\d", QUOTA, say.QUOTA, enhanced=r"5\.7\.1", text=r"quota exceeded"),
    _rule(TRANSACTION, r"4\d\d", QUOTA, say.QUOTA, enhanced=r"4\.3\.2", text=r"STOREDRV|submission"),
    _rule(RECIPIENT, r"4\d\d", LATER, say.LATER, enhanced=r"4\.2\.1", text=r"address rejected|mailbox|disabled"),
    _rule(RECIPIENT, r"4\d\d", LATER, say.LOCKED, text=LOCKED_TEXT),
    _rule(TRANSACTION, r"450", QUOTA, say.QUOTA, enhanced=r"4\.2\.1"),
    _rule(TRANSACTION, r"454", QUOTA, say.QUOTA),
    _rule(TRANSACTION, r"5\d\d", SENDER, say.UNCONFIRMED, text=UNCONFIRMED_TEXT),
    _rule(TRANSACTION, r"5\d\d", SENDER, say.SENDER, text=SENDER_TEXT),
    _rule(TRANSACTION, r"5\d\d", SENDER, say.SENDER, enhanced=r"5\.1\.[78]|5\.7\.60|5\.2\.252"),
    _rule(TRANSACTION, r"4\d\d", QUOTA, say.SENDER, text=r"sender address rejected|domain of sender\b"),
    _rule(TRANSACTION, r"4\d\d", QUOTA, say.SENDER, enhanced=r"4\.1\.[78]"),
    _rule(TRANSACTION, r"5(?!03)\d\d", NO_ENTRY, say.HELO, text=HELO_TEXT),
    # What is in the message.
    _rule(RCPT, r"5\d\d", DEAD, say.UTF8, enhanced=r"5\.6\.7"),
    _rule(CONTENT | MAIL, r"5\d\d", LETTER, say.CONTENT, enhanced=r"5\.6\.\d+"),
    _rule(CONTENT, r"5\d\d", LETTER, say.CONTENT, text=HEADER_TEXT),
    _rule(CONTENT, r"5\d\d", LETTER, say.VIRUS, text=VIRUS_TEXT),
    # The recipient; but "no such mailbox" is also said by those who do not like the sender.
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.SENDER_BLOCKED, text=SENDER_BLOCKED_TEXT),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, enhanced="", text=f"mailbox unavailable.*({SPAM_TEXT})"),
    _rule(RECIPIENT, r"5\d\d", DEAD, say.DEAD, enhanced=r"5\.1\.(1|3|6|10)|5\.2\.1", suppress=True),
    _rule(RECIPIENT, r"5\d\d", DEAD, say.GONE, enhanced=r"|5\.1\.\d+|5\.0\.0|5\.5\.0", text=UNKNOWN_TEXT),
    _rule(RECIPIENT, r"[45]\d\d", LATER, say.FULL, text=FULL_TEXT),
    _rule(RCPT, r"552", LATER, say.FULL, enhanced=r""),
    # Policy and reputation.
    _rule(MAIL, r"5\d\d", BLOCKED, say.DOOR, text=SPAM_TEXT),
    _rule(RECIPIENT, r"4\d\d", DISTRUST_LATER, say.POLICY, text=SPAM_TEXT),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, enhanced=r"5\.7\.[019]"),
    _rule(RECIPIENT, r"5\d\d", DISTRUST, say.POLICY, text=SPAM_TEXT),
    # A server short of disk (4.3.1), counting recipients per connection (4.5.3) or out of step (503).
    _rule(RECIPIENT, r"4\d\d", RELINK, say.SERVER, enhanced=r"4\.3\.1|4\.5\.3"),
    _rule(TRANSACTION, r"503", RELINK, say.STEP),
    _rule(frozenset({Phase.DATA}), r"5\d\d", RELINK, say.STEP, text=r"no valid recipients"),
    # By class of code.
    _rule(RCPT, r"45[01]", LATER, say.GREY, enhanced=r"4\.7\.\d+"),
    _rule(MAIL, r"4\d\d", RELINK, say.SERVER),
    _rule(MAIL, r"5\d\d", SENDER, say.SENDER),
    _rule(RECIPIENT, r"4\d\d", LATER, say.LATER),
    _rule(RECIPIENT, r"5\d\d", DEAD, say.REFUSED),
    _rule(ANY, r".*", RELINK, say.STEP),
)

LONGEST = 1000
"""Characters of a server's words that are kept. No server needs more; one may send 64 KB with every refusal."""

LINE_CODE = re.compile(r"^[ \t]*[245]\.\d{1,3}\.\d{1,3}[ \t]+", re.MULTILINE)
"""The enhanced code that stands before every line of a reply, in the midst of a sentence too (RFC 2034, 4)."""

ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]P^_X][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?"
)
"""What steers a terminal (ECMA-48): colours, titles, the cursor."""


def words(text: str) -> str:
    """A server's words on one line, at most `LONGEST` characters, safe to keep and to show."""
    # cut first as well: a pattern must not be given 64 KB of somebody else's making
    plain = text[: 4 * LONGEST]
    if not plain.isprintable():
        plain = ESCAPE.sub(" ", plain)
        # nor may it turn the direction of what is shown after it, or hold what nobody sees
        plain = "".join(char if char.isprintable() else " " for char in plain)
    shown = " ".join(plain.split())
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def match(phase: Phase, reply: Reply) -> Rule:
    """The first rule of the table that fits; the last one fits everything."""
    code, enhanced = str(reply.code), reply.enhanced or ""
    # somebody may be called spam@example.org; that is no reason
    text = " ".join(without_addresses(words(LINE_CODE.sub("", reply.text)), "").split())
    return next(rule for rule in RULES if rule.fits(phase, code, enhanced, text))


@lru_cache(maxsize=64)
def accepted(reply: Reply) -> Outcome:
    """What a 2xx after the final dot means, as `classify` has it: by far the most frequent answer."""
    return Outcome(
        verdict=Verdict.SENT,
        scope=Scope.RECIPIENT,
        phase=Phase.FINAL_DOT,
        text=f"{reply.code} {words(reply.text)}".rstrip(),
        reply=reply,
    )


def classify(phase: Phase, reply: Reply) -> Outcome:
    """What a reply in a phase means. At the final dot this includes success; before it, give refusals only.

    A reply that has no place in the dialogue (a success as a refusal, no code at all) is a broken connection.
    """
    rule = match(phase, reply)
    scope, verdict, action = rule.result
    return Outcome(
        verdict=verdict,
        scope=scope,
        phase=phase,
        text=f"{reply.code} {words(reply.text)}".rstrip(),
        action=action,
        reply=reply,
        suppress=rule.suppress,
    )


def lost(phase: Phase, why: str) -> Outcome:
    """What it means that the connection ended in a phase without a reply (EOF, reset, time-out).

    Only after the final dot may the message have been accepted (RFC 1047). At the login a server may hang up instead of
    refusing, so do not knock again at once; a certificate that is wrong stays wrong, and so does `NO_ENCRYPTION`.
    """
    verdict, scope, action = Verdict.REQUEUED, Scope.CONNECTION, Action.RECONNECT
    if phase is Phase.FINAL_DOT:
        verdict = Verdict.UNCERTAIN
    elif phase is Phase.AUTH:
        scope, action = Scope.AUTH, Action.PAUSE
    elif phase is Phase.TLS and ("certificate" in why.lower() or why == NO_ENCRYPTION or NO_TLS in why):
        action = Action.STOP
    return Outcome(verdict=verdict, scope=scope, phase=phase, text=words(why), action=action)


def explain(outcome: Outcome) -> str:
    """The outcome in plain words for an organiser, without addresses and without the server's own words."""
    if outcome.reply is not None:
        return match(outcome.phase, outcome.reply).note
    if outcome.verdict is Verdict.UNCERTAIN:
        return say.UNSURE
    if NO_TLS in outcome.text:
        return say.NO_TLS
    told = (note for beginning, note in BEGINNINGS.items() if outcome.text.startswith(beginning))
    return next(told, LOST.get(outcome.phase, say.LOST))
