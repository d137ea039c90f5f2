"""The account that sends: described, tried at its server, and only then written down. The command `mailer setup` and the page do it so.

`description` asks for it, `login` tries it, `keeping` keeps the secret and writes `.env`; `reading` does the same for the mailbox to which
answers come, and `choices` changes the other settings of which an organiser decides. Who is asked, and how what happens is told, is the caller's.
"""

from mailer.account.choices import CHOICES, Choice, choices, choose
from mailer.account.description import NO_LOGIN, Account, Given, Interview, account_of, is_example
from mailer.account.keeping import (
    FILE_QUESTION,
    NO_ANSWER,
    NO_KEYRING,
    SECRET_FILE,
    Place,
    checks_of,
    file_question,
    keep,
    keep_in_keyring,
    new_file,
    refuse_overruled,
)
from mailer.account.login import (
    NOTHING_CHANGED,
    Sign,
    Trouble,
    is_wrong_secret,
    refusal,
    relay_for,
    sign_in,
    tested,
    trouble_of,
)
from mailer.account.reading import refuse_overruled_reading, set_up_reading, wrong_fields

__all__ = [
    "CHOICES",
    "FILE_QUESTION",
    "NOTHING_CHANGED",
    "NO_ANSWER",
    "NO_KEYRING",
    "NO_LOGIN",
    "SECRET_FILE",
    "Account",
    "Choice",
    "Given",
    "Interview",
    "Place",
    "Sign",
    "Trouble",
    "account_of",
    "checks_of",
    "choices",
    "choose",
    "file_question",
    "is_example",
    "is_wrong_secret",
    "keep",
    "keep_in_keyring",
    "new_file",
    "refusal",
    "refuse_overruled",
    "refuse_overruled_reading",
    "relay_for",
    "set_up_reading",
    "sign_in",
    "tested",
    "trouble_of",
    "wrong_fields",
]
