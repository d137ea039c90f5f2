"""What the unsubscribe page says, in the languages of the letters' own footer."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """One language. `rest` also stands where a link was cut off or is none of ours: nobody learns which are."""

    title: str
    question: str
    button: str
    done: str
    rest: str
    later: str
    direction: str = "ltr"


WORDS = {
    "en": Words(
        "No more letters",
        "Shall we send you no more letters?",
        "Yes, no more letters",
        "Thank you, we have noted it.",
        "If another letter comes all the same, just answer it and say so.",
        "This does not work just now. Please try again in some minutes, or answer the letter and say so.",
    ),
    "de": Words(
        "Keine Briefe mehr",
        "Sollen wir dir keine Briefe mehr schicken?",
        "Ja, keine Briefe mehr",
        "Danke, wir haben es vermerkt.",
        "Falls doch noch ein Brief kommt, antworte einfach und sag es uns.",
        "Das geht gerade nicht. Bitte versuch es in einigen Minuten noch einmal, oder antworte auf den Brief.",
    ),
    "fr": Words(
        "Plus de lettres",
        "Veux-tu ne plus recevoir nos lettres ?",
        "Oui, plus de lettres",
        "Merci, c’est noté.",
        "Si une lettre arrive tout de même, il suffit d’y répondre et de nous le dire.",
        "Cela ne marche pas en ce moment. Réessaie dans quelques minutes, ou réponds à la lettre.",
    ),
    "es": Words(
        "No más cartas",
        "¿Quieres no recibir más cartas nuestras?",
        "Sí, no más cartas",
        "Gracias, lo hemos anotado.",
        "Si a pesar de todo llega otra carta, responde y dínoslo.",
        "Ahora mismo no funciona. Inténtalo de nuevo en unos minutos, o responde a la carta.",
    ),
    "it": Words(
        "Niente più lettere",
        "Vuoi non ricevere più le nostre lettere?",
        "Sì, niente più lettere",
        "Grazie, ne abbiamo preso nota.",
        "Se dovesse comunque arrivare un’altra lettera, rispondi e diccelo.",
        "In questo momento non funziona. Riprova tra qualche minuto, o rispondi alla lettera.",
    ),
    "ur": Words(
        "مزید خطوط نہیں",
        "کیا ہم آپ کو مزید خطوط نہ بھیجیں؟",
        "جی ہاں، مزید خطوط نہیں",
        "شکریہ، ہم نے درج کر لیا ہے۔",
        "اگر پھر بھی کوئی خط آئے تو بس جواب دے کر بتا دیں۔",
        "اس وقت یہ ممکن نہیں۔ براہِ کرم چند منٹ بعد دوبارہ کوشش کریں، یا خط کا جواب دیں۔",
        "rtl",
    ),
}


def language_of(accepted: str) -> str:
    """The first known language of an Accept-Language header (RFC 9110, section 12.5.4), in the order it names them."""
    for wish in accepted[:200].split(","):
        code = wish.partition(";")[0].strip().lower().partition("-")[0]
        if code in WORDS:
            return code
    return "en"
