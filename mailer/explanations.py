"""What a mail server's answers mean for an organiser: one or two plain sentences each, without addresses."""

from __future__ import annotations

SENT = "The mail server accepted the message."
UNSURE = (
    "We cannot tell whether this message was accepted: the answer was lost or made no sense. It is not sent again by "
    "itself; look in the mail account's sent mail or ask the provider, then decide with `mailer resolve`."
)
BUSY = "The mail server ended the connection; we connect again after a pause. Nobody loses their place."
CONNECTIONS = "The mail server allows fewer connections at a time; we connect again after a pause."
STEP = "The mail server lost track of the conversation; we connect again. Nobody loses their place."
LOGIN = (
    "The mail server refused the user name or password. Check both; many providers want an app password or have "
    "SMTP sending switched off until you allow it in the account's security settings."
)
SIGN_IN = "The sign-in without a password has ended, or was taken back."
LOGIN_WAIT = "The mail server takes no login right now. We pause, and do not keep knocking: it may lock the account."
RELAY = "The mail server does not accept us as a logged-in sender. Check that user name, password and port are set."
QUOTA = (
    "The mail account has reached its provider's sending limit. We pause; nobody is lost. If this comes back, set a "
    "lower rate than the provider's limit."
)
PACE = "We send faster than the mail server allows. We pause; nobody is lost. Set a lower rate, then continue."
SENDER = (
    "The mail server does not let this account send from this sender address. Use the account's own address, or have "
    "the address confirmed by the provider."
)
UNCONFIRMED = (
    "The provider has not confirmed this sender address yet, or the account is on trial and may only write to confirmed "
    "addresses. Confirm the sender's address there, or ask the provider to open the account."
)
SUSPENDED = "The provider has suspended sending for this mail account. Ask the provider what is needed to lift this."
TENANT = "The provider lets your organisation send nothing to the outside for now. Ask its support to lift this."
OWN_FULL = "The mailbox of the sending account is full, so the mail server takes nothing from it. Make room in it."
POLICY = (
    "The receiving side does not trust this mail: the sender's domain is not set up for it (SPF, DKIM, DMARC), or the "
    "letter or the mail server looks like spam to it. Ask the provider what the domain needs; sending stops when "
    "this happens to several people in a row."
)
REPUTATION = (
    "The receiving side holds mail from here back for now: too much came at once, or it does not trust the sender's "
    "domain or the mail server yet. Send more slowly; if this comes back, ask the provider."
)
SENDER_BLOCKED = "This server blocks our sender address; the recipient's may well be right. Ask your provider."
HELO = "The mail server does not accept the name by which this computer introduces itself. Ask the provider."
DOOR = "The mail server does not want connections from here: this network's address is blocked. Ask the provider."
SIZE = "The message is larger than the mail server accepts. Make the attachments or images smaller."
CONTENT = "The mail server does not accept what is in the letter or its attachments. Change the letter."
VIRUS = "The mail server found a forbidden or dangerous attachment. Send another kind of file, or a link."
DEAD = "This address does not exist (any more), says its mail server. It will not be mailed again."
GONE = "The mail server says it has no such mailbox."
UTF8 = "This address has letters outside a-z, which the mail server cannot handle."
CLOSED = "This address only accepts mail from chosen senders."
FULL = "The mailbox is full. We try again later."
LOCKED = "The mailbox is in use by another program at the moment. We try again later."
GREY = "The receiving server asks us to come back later, as many do with a new sender. We try again."
FLOOD = "This person is getting too much mail at the moment. We try again later."
LATER = "The mail server could not take this message for this address just now. We try again later."
REFUSED = "The mail server refused this message for this address for good."
SERVER = "The mail server has a problem of its own or refuses us as a whole. Its own words say more."
ENCRYPT = "The server wants an encrypted connection before it takes a password: set smtp_security."
NO_TLS = "This port of the mail server does not begin with TLS. Usual are port 587 with starttls, 465 with tls."
TLS = (
    "The mail server offers no encryption on this port, or somebody in between takes the offer out. Neither the password "
    "nor a message was sent. Check host, port and security in the settings (port 465 with tls works with many "
    "providers); if they are right, try from another network."
)
PROXY = "There is no way through the proxy, and no other way is tried. Check that it runs, and host, port and proxy in the settings."
LOST = "The connection to the mail server broke before the message was handed over. Nobody loses their place."
