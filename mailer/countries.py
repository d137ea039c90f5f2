"""Countries as people write them into lists, and the time zone of each that has one."""

from __future__ import annotations

import time
import unicodedata
from functools import lru_cache
from importlib.resources import files

from mailer.hours import offset_at

HEADERS = """
country, country name, nation, state country, Land, Staat, pays, pays de résidence, país, pais, paese, nazione, stato
landet, maa, kraj, państwo, země, stát, krajina, ország, țară, држава, država, страна, країна, держава, ülke, χώρα
ملک, البلد, بلد, الدولة, دولة, کشور, देश, দেশ, ਦੇਸ਼, 国, 国家, 나라, negara, nchi, bansa
"""
"""What a column of countries is called."""

NAMES = {
    "AR": "Argentinien, Argentine, Argentinië, Arjantin",
    "AT": "Österreich, Autriche, Oostenrijk, Rakousko, Avusturya, Австрия, آسٹریا",
    "BD": "Bangladesch, বাংলাদেশ, بنگلہ دیش",
    "BE": "Belgien, Belgique, Bélgica, Belgio, België, Belçika, Бельгия, بیلجیم",
    "BG": "Bulgarien, Bulgarie, България, Bulgaristan, Болгария",
    "BO": "Bolivia, Bolivien, Bolivie",
    "CH": "Schweiz, die Schweiz, Suisse, Suiza, Svizzera, Suíça, Zwitserland, İsviçre, Швейцария, سوئٹزرلینڈ",
    "CL": "Chili",
    "CO": "Kolumbien, Colombie",
    "CY": "Zypern, Chypre, Chipre, Cipro, Κύπρος, Kıbrıs",
    "CZ": "Czechia, Tschechien, Tchéquie, République tchèque, Česko, Chequia, Tsjechië, Чехия",
    "DE": "Deutschland, Allemagne, Alemania, Germania, Alemanha, Duitsland, Niemcy, Almanya, Германия, Tyskland, Saksa, جرمنی",
    "DK": "Dänemark, Danemark, Dinamarca, Danimarca, Denemarken, Danmark, Danimarka, Дания",
    "EG": "Ägypten, Égypte, Egipto, Egitto, مصر",
    "ES": "Spanien, Espagne, España, Spagna, Espanha, Spanje, İspanya, Испания, Espanja, سپین",
    "FI": "Finnland, Finlande, Finlandia, Suomi, Finlandiya, Финляндия",
    "FR": "Frankreich, Francia, França, Frankrijk, Francja, Fransa, Франция, Frankrike, Ranska, فرانس",
    "GB": "United Kingdom, UK, Great Britain, England, Scotland, Wales, Northern Ireland, Großbritannien, Vereinigtes Königreich,"
    "Royaume-Uni, Reino Unido, Regno Unito, Verenigd Koninkrijk, Birleşik Krallık, Великобритания, برطانیہ",
    "GR": "Griechenland, Grèce, Grecia, Grécia, Griekenland, Ελλάδα, Yunanistan, Греция, یونان",
    "HR": "Kroatien, Croatie, Croacia, Hrvatska",
    "HU": "Ungarn, Hongrie, Hungría, Ungheria, Magyarország, Macaristan, Венгрия",
    "IE": "Irland, Irlande, Irlanda, Ierland, Éire, İrlanda, Ирландия, آئرلینڈ",
    "IN": "Indien, Inde, Hindistan, Индия, भारत, بھارت, انڈیا",
    "IR": "ایران, İran",
    "IT": "Italien, Italie, Italia, Itália, Italië, Włochy, İtalya, Италия, اٹلی",
    "JP": "Japon, Japón, Giappone, Japão, 日本, Япония, جاپان",
    "KE": "Kenia",
    "KR": "South Korea, Südkorea, Corée du Sud, Corea del Sur, 대한민국, 한국",
    "LK": "Sri Lanka",
    "LU": "Luxemburg, Luxemburgo, Lussemburgo, Lëtzebuerg",
    "MA": "Marokko, Maroc, Marruecos, Marocco, المغرب",
    "NL": "Niederlande, the Netherlands, Holland, Pays-Bas, Países Bajos, Paesi Bassi, Nederland, Hollanda, Нидерланды, ہالینڈ",
    "NO": "Norwegen, Norvège, Noruega, Norvegia, Noorwegen, Norge, Norveç, Норвегия",
    "NP": "नेपाल",
    "NZ": "Neuseeland, Nouvelle-Zélande, Nueva Zelanda",
    "PE": "Perú, Pérou",
    "PH": "Philippinen, Filipinas, Pilipinas",
    "PK": "Pakistan, پاکستان, Пакистан",
    "PL": "Polen, Pologne, Polonia, Polónia, Polska, Polonya, Польша",
    "PT": "Portugal, Portogallo, Portekiz, Португалия",
    "RO": "Rumänien, Roumanie, Rumania, Romania, România, Romanya, Румыния",
    "RS": "Serbien, Serbie, Srbija, Србија, Sırbistan",
    "SA": "Saudi-Arabien, Arabie saoudite, السعودية",
    "SE": "Schweden, Suède, Suecia, Svezia, Suécia, Zweden, Sverige, İsveç, Швеция, Ruotsi",
    "SI": "Slowenien, Slovénie, Slovenija",
    "SK": "Slowakei, Slovaquie, Slovensko",
    "TN": "Tunesien, Tunisie, تونس",
    "TR": "Turkey, Türkei, Turquie, Turquía, Turchia, Türkiye, Турция, ترکی",
    "UA": "Ukraine, Ucrania, Ucraina, Україна, Украина",
    "UY": "Uruguay",
    "ZA": "Südafrika, Afrique du Sud, Sudáfrica, Suid-Afrika",
}
"""Other names than the tz database's English ones, in the languages our lists come in."""

HALF_DAYS = 800
"""Clocks that have shown the same for so long from now on are one."""


def compact(name: str) -> str:
    """Lower case letters without accents and without what stands between words, for comparing."""
    text = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in text if c.isalnum())


@lru_cache(maxsize=2)
def _table(name: str) -> list[list[str]]:
    lines = files("tzdata").joinpath("zoneinfo").joinpath(name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    known = {compact(name): code for code, name in _table("iso3166.tab")}
    known.update((code.lower(), code) for code, _ in _table("iso3166.tab"))
    for code, names in NAMES.items():
        known.update((compact(name), code) for name in names.split(","))
    return known


def country_code(text: str) -> str | None:
    """The country's two letters (ISO 3166) by those, or by its name; None for a name that is not known."""
    return _codes().get(compact(text))


@lru_cache(maxsize=300)
def zone_of(code: str) -> str | None:
    """The country's time zone, if it has one, or one of its mainland or most of it; else None.

    Zones of which all clocks show the same, now and in the year to come, are one.
    """
    found = [(row[2], row[3] if len(row) > 3 else "") for row in _table("zone.tab") if row[0] == code]
    main = [name for name, place in found if place.startswith("most of ") or place.endswith("(mainland)")]
    if len(main) == 1:
        return main[0]
    now = time.time()
    looks = [now + number * 43_200 for number in range(HALF_DAYS)]
    same = all(all(offset_at(name, at) == offset_at(found[0][0], at) for at in looks) for name, _ in found[1:])
    return found[0][0] if found and same else None
