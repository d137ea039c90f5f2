"""What people call their columns, in the languages our lists come in."""

from __future__ import annotations

from mailer.contacts.naming import compact, plain
from mailer.countries import HEADERS


def _words(text: str) -> frozenset[str]:
    return frozenset(compact(word) for word in text.replace("\n", ",").split(",") if word.strip())


EMAIL = _words("""
email, emails, mail, email address, mail address, e mail, email id, email 1, email addr, primary email, emailaddress
Emailadresse, E-Mail-Adresse, Mailadresse, Mail-Adresse, E-Post, Epost, elektronische Post
courriel, adresse courriel, adresse e-mail, adresse email, adresse mail, adresse électronique, mél, adresse mél
correo, correo electrónico, correo-e, dirección de correo, dirección de correo electrónico, dirección electrónica
dirección de email, posta elettronica, indirizzo email, indirizzo e-mail, indirizzo mail, indirizzo di posta elettronica
correio eletrónico, correio eletrônico, correio electrónico, endereço de e-mail, endereço de email, endereço eletrônico
e-mailadres, mailadres, emailadres, adres e-mail, adres email, adres mail, poczta elektroniczna, poczta
e-posta, e-posta adresi, eposta adresi, mail adresi, elektronik posta
e-postadress, e-postadresse, epostadress, epostadresse, mailadress, sähköposti, sähköpostiosoite, netfang, tölvupóstur
ای میل, ایمیل, ای میل ایڈریس, ای میل پتہ, برقی پتہ, برقی ڈاک, پست الکترونیک, ایمیل آدرس
البريد الإلكتروني, البريد الالكتروني, بريد إلكتروني, بريد الكتروني, الإيميل, ايميل, إيميل, عنوان البريد الإلكتروني
электронная почта, эл. почта, почта, e-mail адрес, адрес электронной почты, имейл, емейл, мейл, адрес e-mail
електронна пошта, пошта, ηλεκτρονικό ταχυδρομείο, ईमेल, ই-মেইল, ਈਮੇਲ
""")

EMAIL_PARTS = (
    "email",
    "courriel",
    "epost",
    "eposta",
    "correo",
    "mailadresse",
    "postaelettronica",
    "почта",
    "بريد",
    "ایمیل",
)
"""A header that holds one of these (`supporter email`) is probably an address column too."""

FULL_NAME = _words("""
name, full name, fullname, contact name, contact, contact person, display name, recipient, recipient name, person
supporter, supporter name, member name, vollständiger Name, Ansprechpartner, Ansprechpartnerin, Kontakt, Kontaktperson
nom complet, nom et prénom, prénom et nom, personne de contact, nombre completo, nombre y apellidos, nombre y apellido
persona de contacto, contacto, nome completo, nome e cognome, cognome e nome, nominativo, referente, contatto
volledige naam, naam, contactpersoon, imię i nazwisko, ad soyad, adı soyadı, isim soyisim, isim
namn, navn, fullständigt namn, fullt navn, nimi, kontaktperson
نام, پورا نام, مکمل نام, الاسم, الاسم الكامل, اسم, имя и фамилия, фио, полное имя, фамилия имя
""")

FIRST_NAME = _words("""
first name, firstname, given name, given names, forename, first, Vorname, Rufname, prénom, primer nombre, nombre, nombres
nome, primo nome, nome próprio, primeiro nome, voornaam, imię, ad, adı, förnamn, fornavn, etunimi
پہلا نام, نام اول, الاسم الأول, имя
""")

LAST_NAME = _words("""
last name, lastname, surname, family name, last, Nachname, Familienname, Zuname, nom, nom de famille, apellido, apellidos
cognome, apelido, sobrenome, último nome, achternaam, nazwisko, soyad, soyadı, soyisim, efternamn, etternavn, sukunimi
خاندانی نام, آخری نام, اسم العائلة, اللقب, фамилия
""")

ORGANISATION = _words("""
organisation, organization, organisation name, organization name, org, branch, branch name, union, union branch, group
local, chapter, company, Firma, Verband, Gruppe, Ortsgruppe, Gewerkschaft, Organisationsname, Verein, Betriebsgruppe
syndicat, section, association, groupe, organización, sindicato, asociación, sección, grupo, organizzazione, sindacato
associazione, sezione, gruppo, organização, associação, organisatie, vakbond, afdeling, organizacja, związek, oddział
örgüt, sendika, şube, organisasjon, forening, förening, fackförening, fagforening, avdeling, avdelning, afdeling
تنظیم, یونین, شاخ, المنظمة, النقابة, организация, профсоюз
""")

LANGUAGE = _words("""
language, lang, preferred language, language code, locale, Sprache, Sprachcode, langue, langue préférée, idioma, lengua
lingua, idioma preferido, língua, taal, język, dil, språk, sprog, kieli, زبان, اللغة, لغة, язык, мова, γλώσσα, भाषा
""")

TIME_ZONE = _words("""
time zone, timezone, tz, IANA time zone, Zeitzone, fuseau horaire, fuseau, zona horaria, huso horario, fuso orario
fuso horário, tijdzone, strefa czasowa, saat dilimi, zaman dilimi, tidszon, tidssone, tidszone, aikavyöhyke
časové pásmo, časová zóna, időzóna, fus orar, часовой пояс, часовая зона, часовий пояс, часова зона, ζώνη ώρας
المنطقة الزمنية, ٹائم زون, منطقه زمانی, समय क्षेत्र, সময় অঞ্চল
""")

COUNTRY = _words(HEADERS)

CHECKED_ON = _words("checked on, checked, last checked, geprüft am, vérifié le, comprobado el, controllato il")


def is_email_header(header: str) -> bool:
    """Whether a header is a usual name of the address column."""
    return compact(header) in EMAIL


def speaks_of_email(header: str) -> bool:
    """Whether a header at least holds such a word."""
    word = compact(header)
    return word in EMAIL or any(part in word for part in EMAIL_PARTS) or "mail" in plain(header).split("_")


def is_name_header(header: str) -> bool:
    """Whether a header names people or groups: what is shown beside an address, so nothing may break its line."""
    word = compact(header)
    return word in FULL_NAME | FIRST_NAME | LAST_NAME | ORGANISATION or "name" in plain(header).split("_")
