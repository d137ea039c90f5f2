"""The words people write into a language column, as BCP 47 tags in lower case."""

from __future__ import annotations

import re

from mailer.contacts.naming import compact


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAG = re.compile(r"([a-z]{2,3})((?:-[a-z0-9]{2,8})*)")
NAMED = {
    "ar": "Arabic, Arabisch, arabe, árabe, arabo, عربي, عربی, العربية, ara",
    "bal": "Balochi, Baluchi, Belutschisch, baloutchi, بلوچی",
    "bg": "Bulgarian, Bulgarisch, български, bul",
    "bn": "Bengali, Bangla, Bengalisch, বাংলা, ben",
    "ca": "Catalan, Katalanisch, català, catalán, cat",
    "cs": "Czech, Tschechisch, čeština, česky, ces, cze",
    "da": "Danish, Dänisch, dansk, dan",
    "de": "German, Deutsch, allemand, alemán, tedesco, alemão, Duits, جرمن, немецкий, Almanca, deu, ger",
    "el": "Greek, Griechisch, ελληνικά, ell, gre",
    "en": "English, Englisch, anglais, inglés, inglese, inglês, Engels, انگریزی, английский, İngilizce, engelska, engelsk, eng",
    "es": "Spanish, Spanisch, espagnol, español, castellano, spagnolo, espanhol, Spaans, ہسپانوی, испанский, spa",
    "fa": "Persian, Farsi, Dari, Persisch, فارسی, fas, per",
    "fi": "Finnish, Finnisch, suomi, fin",
    "fr": "French, Französisch, français, francés, francese, francês, Frans, فرانسیسی, французский, Fransızca, fra, fre",
    "he": "Hebrew, Hebräisch, עברית, heb",
    "hi": "Hindi, हिन्दी, हिंदी, hin",
    "hr": "Croatian, Kroatisch, hrvatski, hrv",
    "hu": "Hungarian, Ungarisch, magyar, hun",
    "id": "Indonesian, Indonesisch, Bahasa Indonesia, ind",
    "it": "Italian, Italienisch, italien, italiano, Italiaans, اطالوی, итальянский, ita",
    "ja": "Japanese, Japanisch, 日本語, jpn",
    "ko": "Korean, Koreanisch, 한국어, kor",
    "ku": "Kurdish, Kurdisch, kurdî, kur",
    "nl": "Dutch, Niederländisch, néerlandais, neerlandés, olandese, holandês, Nederlands, nld, dut",
    "no": "Norwegian, Norwegisch, norsk, nor",
    "pa": "Punjabi, Panjabi, پنجابی, ਪੰਜਾਬੀ, pan",
    "pl": "Polish, Polnisch, polonais, polaco, polacco, polski, pol",
    "ps": "Pashto, Pushto, Paschtu, پښتو, پشتو, pus",
    "pt": "Portuguese, Portugiesisch, portugais, portugués, portoghese, português, Portugees, por",
    "pt-br": "Brazilian Portuguese, português brasileiro, português do Brasil",
    "ro": "Romanian, Rumänisch, română, ron, rum",
    "ru": "Russian, Russisch, russe, ruso, russo, русский, rus",
    "sd": "Sindhi, سندھی, snd",
    "skr": "Saraiki, Siraiki, سرائیکی",
    "sr": "Serbian, Serbisch, српски, srpski, srp",
    "sv": "Swedish, Schwedisch, suédois, sueco, svedese, svenska, swe",
    "sw": "Swahili, Kiswahili, swa",
    "ta": "Tamil, தமிழ், tam",
    "tr": "Turkish, Türkisch, turc, turco, Türkçe, tur",
    "uk": "Ukrainian, Ukrainisch, українська, ukr",
    "ur": "Urdu, ourdou, اردو, اُردو, урду, urd",
    "vi": "Vietnamese, Vietnamesisch, tiếng Việt, vie",
    "zh": "Chinese, Chinesisch, chinois, chino, cinese, 中文, zho, chi",
}
BY_NAME = {compact(word): tag for tag, words in NAMED.items() for word in words.split(",")}
TWO_LETTERS = _words(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg "
    "ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn "
    "no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw "
    "ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
THREE_LETTERS = _words(
    "bal brh skr hnd hno ckb kmr sdh lki haz prs pbt pst pnb fil ast gsw nds rom yue cmn kab tzm zgh"
)


def language_tag(text: str) -> str | None:
    """`pt_BR` is `pt-br`, `Deutsch` is `de`; None if it names no language known here."""
    written = text.strip().lower().replace("_", "-")
    match = TAG.fullmatch(written)
    if match and (match[1] in TWO_LETTERS or match[1] in THREE_LETTERS):
        return written
    return BY_NAME.get(compact(text))
