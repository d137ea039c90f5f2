"""What people write back, told from what their mail programs write for them; read without I/O."""

from __future__ import annotations

import re
import unicodedata

from mailer.inbox.delivery_status import ANGLED
from mailer.inbox.mail import Mail

AUTOMATIC_PRECEDENCE = frozenset({"auto_reply", "bulk", "junk", "list"})
AUTOMATIC_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-respond", "x-fc-machinegenerated")

AUTOMATIC_SUBJECTS = re.compile(
    # possessive: a subject of nothing but dashes must not be tried at each of them
    r"^\W*+(?:(?:re|aw|sv|tr|rv)\W*+)?(?:"
    r"out of (the )?office|automatic (reply|response)|auto(matic|mated)?[- ]?(reply|response|responder)|autoreply|"
    r"away from (the |my )?(office|e-?mail)|on (vacation|annual leave|holiday)|vacation (reply|notice)|"
    r"automatische (antwort|abwesenheit)|abwesenheit|au(ss|ß)er haus|nicht im b(ü|ue)ro|"
    r"r[ée]ponse automatique|absence du bureau|message d.absence|"
    r"respuesta autom[áa]tica|fuera de (la )?oficina|ausente de la oficina|"
    r"risposta automatica|fuori (sede|ufficio)|assente dall|resposta autom[áa]tica|fora do escrit[óo]rio|"
    r"automatisch (antwoord|bericht)|afwezig|automatyczna odpowied[źz]|autosvar|automatisk[t]? svar|fr[åa]nvaro|"
    r"frav[æa]r|automaattinen vastaus|poissa toimistosta|otomatik yan[ıi]t|ofis d[ıi][şs][ıi]nda|"
    r"automatick[áa] odpov[ěe]|automatikus v[áa]lasz|r[ăa]spuns automat|автоматический ответ|автоответ|"
    r"автоматична відповідь|αυτόματη απάντηση|自動(応答|返信)|不在(通知|のお知らせ)|自动(回复|答复)|자동 ?(회신|응답)|رد تلقائي"
    r")",
    re.IGNORECASE,
)

LEAVE_WORDS = re.compile(
    r"unsubscribe|unsubscribe me|please unsubscribe|please unsubscribe me|remove me|please remove me|remove|"
    r"opt out|opt-out|stop|abmelden|bitte abmelden|abbestellen|austragen|bitte austragen|desinscrire|"
    r"desabonner|desabonnement|me desinscrire|desinscription|darse de baja|dar de baja|baja|"
    r"cancelar suscripcion|disiscrivimi|cancellami|cancella iscrizione|disiscrizione|cancelar inscricao|"
    r"cancelar subscricao|remover|afmelden|uitschrijven|wypisz|wypisz mnie|rezygnuje|avregistrera|avsluta|"
    r"avmeld|avmelden|afmeld|peruuta tilaus|odhlasit|leiratkozas|dezabonare|otpisat'sya|отписаться|отписать|"
    r"απεγγραφη|退订|配信停止|수신거부|الغاء الاشتراك"
)
"""Without accents, in lower case. Whoever writes a sentence writes to a person."""

LONGEST_WISH = 60
MOST_REFERENCES = 20
QUOTED = re.compile(
    r"^(>|--\s*$|_{5,}|-{5,}|on .{5,200}wrote:\s*$|am .{5,200}schrieb.*:\s*$|le .{5,200}crit\s*:\s*$)", re.IGNORECASE
)


def is_automatic(mail: Mail) -> bool:
    """Whether a program answered for its owner (RFC 3834, 5, and what older ones do)."""
    submitted = mail.header("auto-submitted").split(";")[0].split("(")[0].strip().lower()
    return (
        submitted not in {"", "no"}
        or mail.header("precedence").strip().lower() in AUTOMATIC_PRECEDENCE
        or any(mail.header(name) for name in AUTOMATIC_HEADERS)
        or AUTOMATIC_SUBJECTS.search(unicodedata.normalize("NFC", mail.header("subject"))) is not None
    )


def wants_to_leave(mail: Mail) -> bool:
    """Whether the subject, or all that was written above what is quoted, says so and nothing else."""
    if plain_word(re.sub(r"^(\s*(re|aw|sv|tr|rv|antw)\s*:)+", "", mail.header("subject"), flags=re.IGNORECASE)):
        return True
    written = []
    for line in mail.words.splitlines()[:200]:
        if QUOTED.match(line.strip()):
            break
        if line.strip():
            written.append(line)
        if len(written) > 1:
            return False
    return len(written) == 1 and plain_word(written[0])


def plain_word(text: str) -> bool:
    """Whether a text is a wish to leave and nothing else, in one of many languages."""
    if len(text) > LONGEST_WISH:
        return False
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = unicodedata.normalize("NFC", "".join(char for char in letters if not unicodedata.combining(char)))
    return LEAVE_WORDS.fullmatch(" ".join(re.sub(r"[^\w\s'-]", " ", bare).split())) is not None


def answered(mail: Mail) -> tuple[str, ...]:
    """The Message-IDs that it answers (RFC 5322, 3.6.4), the closest first."""
    references = [one for value in mail.every("references") for one in ANGLED.findall(value)]
    direct = [one for value in mail.every("in-reply-to") for one in ANGLED.findall(value)]
    return tuple(dict.fromkeys([*direct, *reversed(references)]))[:MOST_REFERENCES]
