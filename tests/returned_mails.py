"""Mails that come back, in the manner of the servers that write them; people, domains and words are invented."""

from __future__ import annotations


def mail(sample: str, /, **values: str) -> bytes:
    """A sample with its places filled in, as it comes over the wire."""
    filled = sample
    for name, value in values.items():
        filled = filled.replace(f"[[{name}]]", value)
    return filled.lstrip("\n").replace("\n", "\r\n").encode()


POSTFIX = """
Return-Path: <>
From: MAILER-DAEMON@relay.test (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: [[to]]
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B1"
Message-Id: <dsn.1@relay.test>

--B1
Content-Type: text/plain; charset=us-ascii

<[[address]]>: host mx.gone.example[192.0.2.7] said: [[words]]
    (in reply to RCPT TO command)

--B1
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test
X-Postfix-Sender: rfc822; bounces@solidarity.example
Arrival-Date: Mon, 23 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; [[address]]
Original-Recipient: rfc822;[[address]]
Action: [[action]]
Status: [[status]]
Remote-MTA: dns; mx.gone.example
Diagnostic-Code: smtp; [[words]]

--B1
Content-Type: message/rfc822

Return-Path: <bounces@solidarity.example>
From: Campaign <campaign@solidarity.example>
To: [[address]]
Subject: Freedom for our comrades
Message-ID: [[id]]

Dear friend,
--B1--
"""

# headers only (RFC 6522, 3), the codes in the wrong case, a comment behind the status
HEADERS_ONLY = """
Return-Path: <>
From: postmaster@mx.gone.example
To: [[to]]
MIME-Version: 1.0
Content-Type: MULTIPART/Report; Report-Type=delivery-status; boundary=xx
Subject: Returned mail

--xx

The address is not known here.
--xx
content-type: MESSAGE/delivery-status

REPORTING-MTA: dns; mx.gone.example

FINAL-RECIPIENT: RFC822; <[[address]]>
ACTION: Failed (no such person)
STATUS: 5.1.1 (bad destination mailbox address)

--xx
Content-Type: text/rfc822-headers

Subject: Freedom for our comrades
Message-ID:
 [[id]]

--xx--
"""

# RFC 6533, encoded as it may be, with an address that is not ASCII
INTERNATIONAL = """
Return-Path: <>
From: Mail Delivery <postmaster@post.example>
To: [[to]]
MIME-Version: 1.0
Content-Type: multipart/report; report-type=global-delivery-status; boundary=g

--g
Content-Type: text/plain; charset=utf-8

Nicht zugestellt.
--g
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: base64

UmVwb3J0aW5nLU1UQTogZG5zOyBwb3N0LmV4YW1wbGUKCkZpbmFsLVJlY2lwaWVudDogdXRmLTg7
IGpceHtGQ31yZ0Bwb3N0LmV4YW1wbGUKQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQpEaWFn
bm9zdGljLUNvZGU6IHNtdHA7IDU1MCA1LjEuMSBubyBzdWNoIHVzZXIK
--g
Content-Type: message/global-headers

Message-ID: [[id]]

--g--
"""

SEVERAL = """
Return-Path: <>
From: MAILER-DAEMON@relay.test
To: [[to]]
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=B1

--B1

Some of these could not be reached.
--B1
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test

Final-Recipient: rfc822; [[one]]
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 No such user

Final-Recipient: rfc822; [[two]]
Action: failed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 Mailbox full

Final-Recipient: rfc822; [[three]]
Action: delivered
Status: 2.0.0

--B1--
"""

QMAIL = """
Return-Path: <>
From: MAILER-DAEMON@old.example
To: [[to]]
Subject: failure notice

Hi. This is the qmail-send program at old.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<[[address]]>:
192.0.2.9 does not like recipient.
Remote host said: 550 5.1.1 no mailbox by that name
Giving up on 192.0.2.9.

--- Below this line is a copy of the message.

Return-Path: <bounces@solidarity.example>
Message-ID: [[id]]
Subject: Freedom for our comrades

<nobody@elsewhere.example>:
is no recipient, but stands in the letter
"""

EXIM = """
Return-Path: <>
From: Mail Delivery System <Mailer-Daemon@exim.example>
X-Failed-Recipients: [[address]]
To: [[to]]
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  [[address]]
    host mx.gone.example [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<[[address]]>:
    550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------

Return-path: <bounces@solidarity.example>
Message-ID: [[id]]
"""

EXIM_DELAY = """
Return-Path: <>
From: Mail Delivery System <Mailer-Daemon@exim.example>
To: [[to]]
Subject: Warning: message 1abcDE-000000-00 delayed 24 hours

This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on exim.example.

The address to which the message has not yet been delivered is:

  [[address]]

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals.
"""

EXCHANGE = """
From: System Administrator <postmaster@office.example>
To: [[to]]
Subject: Undeliverable: Freedom for our comrades

Your message

  To:      [[address]]
  Subject: Freedom for our comrades
  Sent:    Mon, 23 Nov 2026 10:00:00 -0000

did not reach the following recipient(s):

[[address]] on Mon, 23 Nov 2026 10:00:05 -0000
    The recipient name is not recognized
	The MTS-ID of the original message is: c=de;a= ;p=office
    MSEXCH:IMS:Office:Site:SERVER 0 (000C05A6) Unknown Recipient

"""

PUZZLING = """
Return-Path: <>
From: MAILER-DAEMON@strange.example
To: [[to]]
Subject: ???

[[address]] may or may not have it. Message-ID: [[id]]
"""

ARF = """
From: feedback@provider.example
To: [[to]]
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=f

--f

This is a report of abuse.
--f
Content-Type: message/feedback-report

Feedback-Type: [[type]]
User-Agent: Reports/1.0
Version: 1
Original-Mail-From: <[[mail_from]]>
Original-Rcpt-To: <[[address]]>

--f
Content-Type: message/rfc822

From: Campaign <campaign@solidarity.example>
To: Undisclosed <redacted@provider.example>
List-Unsubscribe: <mailto:leave@solidarity.example?subject=unsubscribe%20[[token]]>
Message-ID: [[id]]

text
--f--
"""

MICROSOFT = """
From: staff@microsoft.example
To: [[to]]
Subject: complaint about message from 192.0.2.1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: [[address]]
From: Campaign <campaign@solidarity.example>
Subject: Freedom for our comrades

text
--m--
"""

PERSON = """
From: Pat <[[sender]]>
To: [[to]]
Subject: [[subject]]
In-Reply-To: [[id]]
Message-ID: <[[own]]@people.example>

[[text]]
"""
