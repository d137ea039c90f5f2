"""Replies that real servers give, and what each must mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer import outcome
from mailer.model import Action, Phase, Reply, Scope, Verdict

AUTH, CONNECT, CONTENT, DATA, DOT, MAIL, RCPT, TLS = (
    Phase.AUTH,
    Phase.CONNECT,
    Phase.CONTENT,
    Phase.DATA,
    Phase.FINAL_DOT,
    Phase.MAIL,
    Phase.RCPT,
    Phase.TLS,
)
SENT = "recipient sent continue"
DEAD = "recipient failed continue"
LATER = "recipient deferred continue"
QUOTA = "account requeued pause"
SENDER = "account requeued stop"
POLICY = "policy failed continue"
POLICY_LATER = "policy deferred continue"
POLICY_WAIT = "policy requeued pause"
BLOCKED = "policy requeued stop"
LETTER = "message requeued stop"
LOGIN = "auth requeued stop"
LOGIN_LATER = "auth requeued pause"
RELINK = "connection requeued reconnect"
NO_ENTRY = "connection requeued stop"
UNSURE = "connection uncertain reconnect"

REPLIES = [
    # accepted, or no answer at all
    (DOT, 250, "2.0.0 Ok: queued as 4Fx", SENT),
    (DOT, 250, "Ok 0102018f", SENT),
    (DOT, 251, "User not local; will forward", SENT),
    (DOT, 200, "fine", SENT),
    (DOT, 354, "End data with <CR><LF>.<CR><LF>", UNSURE),
    (DOT, 199, "", UNSURE),
    (DOT, -1, "garbage", UNSURE),
    (DOT, 620, "what", UNSURE),
    # connection
    (CONNECT, 421, "4.7.0 Too many connections", RELINK),
    (CONNECT, 451, "4.3.2 Please try again later", RELINK),
    (CONNECT, 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", BLOCKED),
    (CONNECT, 554, "No SMTP service here", NO_ENTRY),
    (TLS, 454, "4.7.0 TLS not available due to local problem", NO_ENTRY),
    (TLS, 451, "4.3.0 Try again later", RELINK),
    (TLS, 502, "5.5.1 STARTTLS not implemented", NO_ENTRY),
    (RCPT, 421, "4.7.0 Try again later, closing connection. gsmtp", RELINK),
    (DATA, 421, "4.3.2 Service shutting down", RELINK),
    (MAIL, 421, "Too many concurrent SMTP connections", RELINK),
    (RCPT, 421, "Rate limit reached. Please try again later", RELINK),
    (MAIL, 451, "4.3.0 Temporary lookup failure", RELINK),
    (MAIL, 452, "4.3.1 Insufficient system storage", RELINK),
    (RCPT, 452, "4.5.3 Error: too many recipients", RELINK),
    (DOT, 452, "4.3.1 Insufficient system resources", RELINK),
    (RCPT, 503, "5.5.1 Error: need MAIL command", RELINK),
    (DATA, 554, "5.5.1 Error: no valid recipients", RELINK),
    (DATA, 250, "Ok", RELINK),
    (RCPT, 0, "", RELINK),
    # login
    (AUTH, 535, "5.7.8 Username and Password not accepted. For more information, go to ...", LOGIN),
    (AUTH, 534, "5.7.9 Application-specific password required", LOGIN),
    (AUTH, 534, "5.7.14 Please log in through your web browser and then try again", LOGIN),
    (AUTH, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant", LOGIN),
    (AUTH, 550, "5.7.30 Basic authentication is not supported for Client Submission.", LOGIN),
    (AUTH, 538, "5.7.11 Encryption required for requested authentication mechanism", LOGIN),
    (AUTH, 535, "5.7.3 Authentication unsuccessful", LOGIN),
    (AUTH, 504, "5.7.4 Unrecognized authentication type", LOGIN),
    (AUTH, 454, "4.7.0 Too many login attempts, please try again later.", LOGIN),
    (AUTH, 432, "4.7.12 A password transition is needed", LOGIN),
    (AUTH, 454, "4.7.0 Temporary authentication failure", LOGIN_LATER),
    (AUTH, 421, "4.7.0 Try again later", LOGIN_LATER),
    (AUTH, 421, "4.7.0 Too many connections from your address", LOGIN_LATER),
    (AUTH, 450, "4.7.1 Error: too many AUTH commands from 192.0.2.1", LOGIN_LATER),
    (AUTH, 451, "4.7.0 Internal error", LOGIN_LATER),
    (AUTH, -1, "garbage", LOGIN_LATER),
    (MAIL, 530, "5.7.0 Authentication Required.", LOGIN),
    (MAIL, 530, "5.7.0 Must issue a STARTTLS command first", LOGIN),
    (MAIL, 550, "5.7.30 Basic authentication is not supported", LOGIN),
    (MAIL, 554, "5.7.9 Please log in again", LOGIN),
    (MAIL, 530, "5.7.57 Client not authenticated to send mail", LOGIN),
    (DOT, 550, "5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM", LOGIN),
    (RCPT, 554, "5.7.1 <ada@example.net>: Relay access denied", LOGIN),
    (RCPT, 454, "4.7.1 <ada@example.net>: Relay access denied", LOGIN),
    (RCPT, 550, "authentication required", LOGIN),
    (DOT, 554, "Access denied: User `x' is not authorized to perform `ses:SendRawEmail'", LOGIN),
    # the account's quota
    (DOT, 550, "5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to", QUOTA),
    (RCPT, 550, "5.4.5 <ada@example.net>: Recipient address rejected: Domain Sending Quota Exceeded", QUOTA),
    (RCPT, 450, "4.2.1 Peak SMTP relay limit exceeded for customer.", QUOTA),
    (RCPT, 450, "4.2.1 Please slow down", QUOTA),
    (RCPT, 450, "4.2.1 no", QUOTA),
    (DOT, 454, "Throttling failure: Maximum sending rate exceeded", QUOTA),
    (DOT, 454, "Throttling failure: Daily message quota exceeded", QUOTA),
    (RCPT, 454, "later", QUOTA),
    (RCPT, 550, "Domain example.org has exceeded the max defers and failures per hour (5/5 (100%)) allowed.", QUOTA),
    (RCPT, 550, "Domain example.org has exceeded the max emails per hour (100/100 (100%)) allowed.", QUOTA),
    (RCPT, 450, "Requested mail action not taken: mailbox unavailable\nMail send limit exceeded.", QUOTA),
    (DOT, 450, "Mail quota exceeded", QUOTA),
    (RCPT, 450, "4.7.1 <o@example.org>: Sender address rejected: Deferring: Too many messages from sender", QUOTA),
    (RCPT, 554, "5.7.1 <ada@example.net>: Recipient address rejected: Quota exceeded", QUOTA),
    (DOT, 550, "5.1.90 Your message can't be sent because you've reached your daily limit for recipients", QUOTA),
    (DOT, 554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", QUOTA),
    (DOT, 432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", QUOTA),
    (DOT, 451, "4.3.2 STOREDRV.Storage; storage throttled", QUOTA),
    (DOT, 451, "4.3.2 STOREDRV; temporary", QUOTA),
    (MAIL, 451, "4.7.1 Sending rate exceeded, slow down", QUOTA),
    (MAIL, 450, "4.7.1 Error: too many messages from you", QUOTA),
    (RCPT, 550, "5.7.1 Daily SMTP relay limit exceeded for customer.", QUOTA),
    (RCPT, 452, "You have exceeded your hourly sending limit", QUOTA),
    (RCPT, 450, "4.1.8 <o@example.org>: Sender address rejected: Domain not found", QUOTA),
    (DOT, 550, "5.4.5 no", QUOTA),
    # the sender
    (MAIL, 550, "5.1.0 sender rejected", SENDER),
    (MAIL, 501, "5.1.7 Bad sender address syntax", SENDER),
    (RCPT, 553, "5.7.1 <o@example.org>: Sender address rejected: not owned by user ada", SENDER),
    (RCPT, 550, "5.1.8 <o@example.org>: bad", SENDER),
    (DOT, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", SENDER),
    (DOT, 554, "5.2.252 not allowed", SENDER),
    (DOT, 554, "Message rejected: Email address is not verified. The following identities failed the check", SENDER),
    (DOT, 554, "Message rejected: Sending suspended for this account.", SENDER),
    (RCPT, 550, 'Outgoing mail from "organise" has been suspended.', SENDER),
    (DOT, 550, "5.1.8 Access denied, bad outbound sender", SENDER),
    (RCPT, 550, "Sender verify failed", SENDER),
    (RCPT, 550, "Your account has been disabled", SENDER),
    # the message
    (MAIL, 552, "5.3.4 Message size exceeds fixed limit", LETTER),
    (MAIL, 552, "exceeded storage allocation", LETTER),
    (DOT, 552, "5.3.4 Your message exceeded Google's message size limits.", LETTER),
    (DOT, 552, "5.2.3 Your message exceeded the size limits", LETTER),
    (DOT, 554, "5.6.0 Message contains invalid header", LETTER),
    (DOT, 550, "5.6.0 CAT.InvalidContent.Exception", LETTER),
    (DOT, 552, "message size exceeds maximum value", LETTER),
    (DOT, 523, "the message is too large", LETTER),
    (DOT, 552, "5.7.0 This message was blocked because its content presents a potential security issue.", LETTER),
    (DOT, 554, "5.7.1 Virus found in the message", LETTER),
    (RCPT, 553, "5.6.7 SMTPUTF8 required", DEAD),
    (RCPT, 552, "5.2.3 Message too long for this mailbox", LETTER),
    (DOT, 550, "5.3.4 RESOLVER.RST.SendSizeLimit.Org; message too large for this organization", LETTER),
    (DOT, 550, "5.7.1 This type of file is not allowed", LETTER),
    (RCPT, 550, "5.3.4 no", LETTER),
    (MAIL, 552, "5.2.3 no", LETTER),
    (DOT, 550, "5.2.3 no", LETTER),
    # the recipient, for good
    (DOT, 550, "5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", DEAD),
    (DOT, 554, "delivery error: dd This account has been disabled or discontinued", DEAD),
    (RCPT, 550, "5.1.1 <ada@example.net>: Recipient address rejected: User unknown", DEAD + " suppress"),
    (DOT, 550, "5.1.1 The email account that you tried to reach does not exist.", DEAD + " suppress"),
    (RCPT, 501, "5.1.3 Bad recipient address syntax", DEAD + " suppress"),
    (RCPT, 551, "5.1.6 The mailbox has moved", DEAD + " suppress"),
    (RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", DEAD + " suppress"),
    (RCPT, 550, "5.2.1 The email account that you tried to reach is inactive", DEAD + " suppress"),
    (RCPT, 550, "5.1.1 spam trap; account blocked", DEAD + " suppress"),
    (RCPT, 550, "No Such User Here", DEAD),
    (RCPT, 550, "Requested action not taken: mailbox unavailable", DEAD),
    (RCPT, 550, "5.5.0 Requested action not taken: mailbox unavailable (S2017062302)", DEAD),
    (DOT, 554, "delivery error: dd This user doesn't have a yahoo.com account", DEAD),
    (RCPT, 550, "Unrouteable address", DEAD),
    (RCPT, 550, "<spam@example.net>: rejected", DEAD),
    (RCPT, 553, "5.1.2 We weren't able to find the recipient domain.", DEAD),
    (RCPT, 550, "5.7.1 RESOLVER.RST.AuthRequired; authentication required", DEAD),
    (RCPT, 500, "5.3.0 Error: command failed", DEAD),
    (DATA, 550, "no", DEAD),
    (CONTENT, 554, "Transaction failed", DEAD),
    (DOT, 554, "Transaction failed", DEAD),
    # the recipient, for now
    (RCPT, 452, "4.2.2 The email account that you tried to reach is over quota", LATER),
    (RCPT, 552, "5.2.2 The email account that you tried to reach is over quota", LATER),
    (DOT, 554, "5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", LATER),
    (RCPT, 550, "Quota exceeded", LATER),
    (RCPT, 552, "Requested mail action aborted", LATER),
    (DOT, 552, "Requested mail action aborted: exceeded storage allocation", LATER),
    (RCPT, 552, "Mailbox is full", LATER),
    (RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly.", LATER),
    (RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents", LATER),
    (RCPT, 550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents", LATER),
    (DOT, 432, "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", LATER),
    (RCPT, 450, "4.2.1 <ada@example.net>: Recipient address rejected: mailbox disabled for now", LATER),
    (RCPT, 450, "4.2.0 <ada@example.net>: Recipient address rejected: Greylisted", LATER),
    (RCPT, 451, "4.7.1 Greylisting in action, please come back later", LATER),
    (RCPT, 450, "4.7.1 Client host rejected: cannot find your reverse hostname", LATER),
    (RCPT, 451, "Temporary local problem - please try later", LATER),
    (RCPT, 450, "4.3.0 Error: command failed", LATER),
    (DATA, 451, "4.3.0 Error: queue file write error", LATER),
    (DOT, 451, "4.3.0 Mail server temporarily rejected message.", LATER),
    (RCPT, 552, "The mailbox for this user is full", LATER),
    (DOT, 554, "5.2.2 no", LATER),
    # policy
    (DOT, 451, "4.7.24 no", POLICY_LATER),
    (DOT, 550, "5.7.1 Blocked by profile; for your account see full details at https://example.net/", POLICY),
    (DOT, 550, "5.7.1 Our system has detected that this message is likely unsolicited mail.", POLICY),
    (DOT, 550, "5.7.26 This mail has been blocked because the sender is unauthenticated.", POLICY),
    (DOT, 550, "5.7.25 The IP address sending this message does not have a PTR record", POLICY),
    (DOT, 550, "5.7.32 no", POLICY),
    (
        DOT,
        550,
        "5.7.515 Access denied, sending domain example.org does not meet the required authentication level.",
        POLICY,
    ),
    (
        DOT,
        550,
        "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list",
        POLICY,
    ),
    (RCPT, 550, "5.7.606 Access denied, banned sending IP [192.0.2.1]", POLICY),
    (DOT, 554, "5.7.9 Message not accepted for policy reasons.", POLICY),
    (RCPT, 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", POLICY),
    (DOT, 554, "Transaction failed\nReject due to policy restrictions.", POLICY),
    (DOT, 550, "Your message contains spam", POLICY),
    (RCPT, 451, "4.7.650 The mail server has been temporarily limited due to IP reputation", POLICY_LATER),
    (DOT, 451, "4.7.24 The SPF record has suspicious entries", POLICY_LATER),
    (RCPT, 450, "Reject due to policy violations.", POLICY_LATER),
    (MAIL, 550, "5.7.1 Blocked: listed at bl.spamcop.net", BLOCKED),
    (MAIL, 554, "5.7.9 Message not accepted for policy reasons.", BLOCKED),
    (MAIL, 550, "5.7.25 The IP address sending this message does not have a PTR record", BLOCKED),
    (DOT, 550, "5.7.30 This mail has been blocked because DKIM does not pass.", POLICY),
    (DOT, 550, "5.7.40 no", POLICY),
    (DOT, 550, "5.7.26 Unauthenticated email from example.org is not accepted.\n5.7.26 You must authenticate", POLICY),
    (DOT, 550, "Messages from 192.0.2.1 are rate limited due to IP reputation", POLICY),
    (DOT, 550, "5.7.20 No passing DKIM signature found: missing DKIM header", POLICY),
    (RCPT, 550, "Administrative prohibition", POLICY),
    (RCPT, 550, "Requested action not taken: mailbox unavailable\nReject due to SPF policy.", POLICY),
    (
        DOT,
        550,
        "5.7.1 [192.0.2.1] Our system has detected that this message is\n5.7.1 likely unsolicited mail.",
        POLICY,
    ),
    (RCPT, 550, "5.1.1 Access denied: sender blocked", POLICY),
    (RCPT, 550, "5.1.1 sorry, your envelope sender is in my badmailfrom list", POLICY),
    (RCPT, 553, "sorry, your envelope sender is in my badmailfrom list (#5.7.1)", POLICY),
    (RCPT, 550, "5.1.1 sender rejected", POLICY),
    (RCPT, 550, "5.1.1 <ada@example.net>: Recipient rejected", DEAD + " suppress"),
    (RCPT, 550, "5.1.1 <blocked.sender@example.net>: User unknown", DEAD + " suppress"),
    (CONNECT, 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", POLICY_WAIT),
    (CONNECT, 421, "RP-001 Unfortunately, some messages from 192.0.2.1 weren't sent.", POLICY_WAIT),
    (CONNECT, 421, "4.7.0 barracuda.example Error: too many connections from 192.0.2.1", RELINK),
    (RCPT, 421, "4.7.0 Error: too many new TLS sessions", RELINK),
    (RCPT, 421, "4.3.2 Spam filter is overloaded, closing connection", RELINK),
    (RCPT, 421, "4.7.1 [GL01] Message from 192.0.2.1 temporarily deferred", LATER),
    (RCPT, 451, "4.7.1 Greylisted for its low reputation", LATER),
    (RCPT, 421, "greylist.example.org closing connection", RELINK),
    (RCPT, 451, "Greylisting.", LATER),
    # whom a limit is about
    (RCPT, 450, "4.7.1 <ada@example.net>: Recipient address rejected: too much mail for this user", LATER),
    (RCPT, 452, "4.5.3 Error: too many recipients", RELINK),
    (RCPT, 550, "5.2.122 The recipient has exceeded their limit for the number of messages", LATER),
    (DOT, 554, "5.2.121 Recipient's per hour message receive limit exceeded", LATER),
    (RCPT, 550, "User is over quota", LATER),
    (RCPT, 550, "The recipient has exceeded their mailbox quota: mailbox full", LATER),
    (RCPT, 452, "4.2.2 The user is over quota", LATER),
    (MAIL, 552, "5.2.2 Over quota", SENDER),
    (MAIL, 452, "4.2.2 Mailbox full", SENDER),
    (RCPT, 454, "4.3.0 Temporary failure: mailbox locked by another session", LATER),
    (RCPT, 454, "4.3.0 cannot lock mailbox", LATER),
    (RCPT, 451, "4.3.0 maildrop is temporarily busy", LATER),
    (RCPT, 454, "4.7.1 Your mailbox is locked after unusual sending activity", QUOTA),
    (RCPT, 454, "4.7.1 Your mailbox is locked", QUOTA),
    (RCPT, 550, "5.7.1 Sender is not allowed to send mail to this group", DEAD),
    (RCPT, 550, "5.4.6 Routing loop detected", DEAD),
    (DOT, 554, "5.2.0 STOREDRV.Deliver.Exception:ConversionFailedException", DEAD),
    # who we are
    (RCPT, 553, "Relaying disallowed as o@example.org", LOGIN),
    (RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", LOGIN),
    (RCPT, 504, "5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", NO_ENTRY),
    (MAIL, 503, "5.5.1 Error: send HELO/EHLO first", RELINK),
    (RCPT, 550, "5.1.1 <helo@example.net>: rejected", DEAD + " suppress"),
    (MAIL, 450, "4.1.8 <o@example.org>: Sender address rejected: Domain not found", QUOTA),
    (MAIL, 451, "Domain of sender address o@example.org does not resolve", QUOTA),
    (MAIL, 451, "4.1.8 no", QUOTA),
    (RCPT, 450, "4.1.2 <ada@example.net>: Recipient address rejected: Domain not found", LATER),
    (RCPT, 550, "sender domain does not exist", SENDER),
    (RCPT, 550, "recipient domain does not exist", DEAD),
    (DOT, 554, "Configuration Set doesn't exist", SENDER),
    # what is in the letter
    (DOT, 554, "Transaction failed: Duplicate header 'Subject'.", LETTER),
    (DOT, 554, "Transaction failed: Duplicate header 'DKIM-Signature'.", LETTER),
    (DOT, 554, "Transaction failed: Missing start boundary", LETTER),
    (DOT, 550, "5.7.1 This message is not RFC 5322 compliant: multiple From headers found", LETTER),
    (DOT, 550, "5.7.1 missing DKIM-Signature header", POLICY),
    (DOT, 451, "4.3.0 Error: queue file write error", LATER),
]

# Said by servers that check at any moment, hence the same at MAIL, RCPT and the final dot.
WHENEVER = [
    (
        451,
        "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)",
        POLICY_LATER,
    ),
    (451, "The mail server [192.0.2.1] has been temporarily limited due to IP reputation", POLICY_LATER),
    (451, "4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77719)", POLICY_LATER),
    (421, "4.7.28 Our system has detected an unusual rate of unsolicited mail", POLICY_LATER),
    (
        421,
        "4.7.0 This message fails authentication checks. To protect our users from spam, it is blocked",
        POLICY_LATER,
    ),
    (421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", POLICY_LATER),
    (421, "4.7.0 mx.example Error: too many connections from 192.0.2.1", RELINK),
    (421, "4.7.0 Temporary System Problem. Try again later.", RELINK),
    (450, "4.7.1 Error: too much mail from 192.0.2.1", QUOTA),
    (450, "4.7.1 Error: too many recipients from 192.0.2.1", QUOTA),
    (451, "4.7.1 Please slow down", QUOTA),
    (550, "Sender rate overlimit - 101.3 / 1h", QUOTA),
    (
        550,
        "Domain example.org has exceeded the max emails per hour (120/100 (120%)) allowed. Message discarded.",
        QUOTA,
    ),
    (550, "5.7.1 User over quota for sending", QUOTA),
    (550, "User has exceeded sending quota", QUOTA),
    (550, "5.4.6 Unusual sending activity detected. Please try after sometime", QUOTA),
    (550, "Outgoing email quota reached", QUOTA),
    (550, "5.4.5 Daily user sending limit exceeded", QUOTA),
    (550, "5.7.233 Message cannot be sent because of the tenant external recipient rate", QUOTA),
    (454, "Throttling failure: Maximum sending rate exceeded", QUOTA),
    (454, "Throttling failure: Daily message quota exceeded", QUOTA),
    (
        554,
        (
            "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent "
            "exception with message WASCL UserAction verdict is not None. Actual verdict is Suspend, ShowTierUpgrade"
        ),
        SENDER,
    ),
    (554, "5.2.0 WASCL UserAction verdict is not None. Actual verdict is RefuseQuota, ShowTierUpgrade", QUOTA),
    (550, "5.1.8 Access denied, bad outbound sender AS(42004)", SENDER),
    (550, "5.7.705 Access denied, tenant has exceeded threshold", SENDER),
    (550, "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP. AS(7230)", SENDER),
    (550, "Requested action not taken: mailbox unavailable\nSender address is not allowed.", SENDER),
    (554, "Message rejected: Email address is not verified. The following identities failed: o@example.org", SENDER),
    (550, "The from address does not match a verified Sender Identity.", SENDER),
    (550, "5.7.0 Your account has been\n5.7.0 suspended", SENDER),
    (554, "5.7.1 <ada@example.net>: Relay access denied", LOGIN),
    (454, "4.7.1 <ada@example.net>: Relay access denied", LOGIN),
]
REPLIES += [(phase, code, text, expected) for code, text, expected in WHENEVER for phase in (MAIL, RCPT, DOT)]


def told(result):
    return f"{result.scope} {result.verdict} {result.action}" + (" suppress" if result.suppress else "")


@pytest.mark.parametrize(("phase", "code", "text", "expected"), REPLIES)
def test_a_real_reply_means_what_the_design_says(phase, code, text, expected):
    result = outcome.classify(phase, Reply(code=code, text=text))
    assert told(result) == expected
    assert (result.phase, result.reply) == (phase, Reply(code=code, text=text))
    assert result.text == " ".join(f"{code} {text}".split())
    assert "@" not in outcome.explain(result)


@pytest.mark.parametrize(
    ("phase", "code", "text", "word"),
    [
        (CONNECT, 451, "4.3.2 later", "problem of its own"),
        (TLS, 502, "5.5.1 no", "encrypt"),
        (AUTH, 535, "5.7.8 no", "password"),
        (AUTH, 538, "5.7.11 no", "set smtp_security"),
        (MAIL, 530, "5.7.0 Must issue a STARTTLS command first", "set smtp_security"),
        (MAIL, 451, "4.3.0 no", "problem of its own"),
        (RCPT, 553, "5.6.7 no", "letters outside"),
        (RCPT, 450, "4.7.1 Greylisted", "come back later"),
        (RCPT, 450, "4.7.1 no", "come back later"),
        (RCPT, 550, "No such user", "no such mailbox"),
        (RCPT, 452, "4.2.2 no", "full"),
        (DOT, 550, "5.7.26 no", "trust"),
        (DOT, 250, "ok", "accepted"),
        (DOT, 354, "what", "mailer resolve"),
        (AUTH, 421, "4.7.0 no", "takes no login right now"),
        (MAIL, 421, "4.7.0 Error: too many connections from 192.0.2.1", "fewer connections"),
        (DOT, 421, "4.7.28 no", "Send more slowly"),
        (MAIL, 450, "4.7.1 Error: too much mail from 192.0.2.1", "lower rate"),
        (DOT, 550, "5.7.708 no", "your organisation"),
        (MAIL, 552, "5.2.2 no", "mailbox of the sending account is full"),
        (DOT, 554, "Email address is not verified", "confirmed"),
        (DOT, 554, "Transaction failed: Duplicate header 'To'.", "Change the letter"),
        (
            RCPT,
            550,
            "Requested action not taken: mailbox unavailable\nSender address is not allowed",
            "this sender address",
        ),
        (RCPT, 550, "5.1.1 sender blocked", "may well be right"),
        (RCPT, 454, "4.3.0 mailbox locked", "in use by another program"),
        (RCPT, 550, "5.2.121 no", "too much mail"),
        (RCPT, 504, "5.5.2 Helo command rejected: Host not found", "introduces itself"),
    ],
)
def test_an_organiser_is_told_the_reason_in_plain_words(phase, code, text, word):
    assert word in outcome.explain(outcome.classify(phase, Reply(code=code, text=text)))


def test_every_rule_is_reached_by_a_real_reply():
    reached = {id(outcome.match(phase, Reply(code=code, text=text))) for phase, code, text, _ in REPLIES}
    missed = [rule for rule in outcome.RULES if id(rule) not in reached]
    assert missed == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("5.7.1 no\n5.7.1 really", "550 5.7.1 no 5.7.1 really"),
        ("5.1.1 \x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2J\x1bc x", "550 5.1.1 red x"),
        ("a\x00b\x7fc\r\nd\x85e", "550 a b c d e"),
        ("\u202egnirts\u202c \u2066x\u2069", "550 gnirts x"),
        ("Größe überschritten", "550 Größe überschritten"),
        ("\x1b]never ended" + "x" * 5000, "550"),
        ("", "550"),
    ],
)
def test_only_what_can_be_shown_of_a_reply_is_kept(said, kept):
    result = outcome.classify(RCPT, Reply(code=550, text=said))
    assert result.text == kept
    assert outcome.lost(DOT, said).text == kept.removeprefix("550").strip()


def test_a_reply_without_end_is_cut():
    result = outcome.classify(RCPT, Reply(code=550, text="5.1.1 " + "long " * 13_000))
    assert len(result.text) <= outcome.LONGEST + 4
    assert result.text.endswith("…")
    assert result.suppress


@pytest.mark.parametrize("phase", Phase)
def test_a_connection_lost_without_a_reply_is_uncertain_only_after_the_final_dot(phase):
    result = outcome.lost(phase, "the server closed the connection")
    assert result.verdict == (Verdict.UNCERTAIN if phase is DOT else Verdict.REQUEUED)
    assert result.text == "the server closed the connection"
    assert result.reply is None
    assert outcome.explain(result)


def test_a_server_that_hangs_up_during_the_login_is_not_hammered():
    result = outcome.lost(AUTH, "closed")
    assert (result.scope, result.action) == (Scope.AUTH, Action.PAUSE)


def test_a_wrong_certificate_stops_and_a_broken_handshake_reconnects():
    assert outcome.lost(TLS, "certificate has expired").action is Action.STOP
    assert outcome.lost(TLS, "connection reset").action is Action.RECONNECT


def test_a_temporary_policy_reply_and_a_permanent_one_are_told_apart():
    soft, hard = (outcome.classify(RCPT, Reply(code=code, text=f"{code // 100}.7.26 no")) for code in (450, 550))
    assert (soft.verdict, hard.verdict) == (Verdict.DEFERRED, Verdict.FAILED)
    assert soft.scope is hard.scope is Scope.POLICY


replies = st.builds(
    Reply,
    code=st.one_of(st.integers(-1, 1000), st.sampled_from([250, 354, 421, 450, 451, 452, 454, 550, 552, 554])),
    text=st.one_of(st.text(max_size=60), st.sampled_from([text for _, _, text, _ in REPLIES])),
)


@given(reply=replies)
def test_whatever_is_said_at_the_login_nobody_knocks_again_at_once(reply):
    result = outcome.classify(AUTH, reply)
    assert result.scope is Scope.AUTH
    assert result.action in {Action.PAUSE, Action.STOP}
    assert result.verdict is Verdict.REQUEUED


@given(phase=st.sampled_from(Phase), reply=replies)
def test_every_reply_has_an_outcome_and_we_never_say_more_than_we_know(phase, reply):
    result = outcome.classify(phase, reply)
    code = reply.code // 100
    assert len(result.text) <= outcome.LONGEST + 5
    assert result.text.isprintable()
    assert (result.verdict is Verdict.SENT) == (phase is DOT and code == 2)
    assert (result.verdict is Verdict.UNCERTAIN) == (phase is DOT and code not in {2, 4, 5})
    assert not result.suppress or (result.verdict is Verdict.FAILED and result.scope is Scope.RECIPIENT)
    assert result.verdict is not Verdict.FAILED or code == 5
    assert result.scope is not Scope.RECIPIENT or phase in {RCPT, DATA, CONTENT, DOT}
    assert outcome.explain(result).endswith(".")
