"""Why a server's certificate is not believed, in words."""

from __future__ import annotations

import ssl

from mailer.model import Said, said


def doubt(error: ssl.SSLCertVerificationError) -> Said:
    """What is wrong with the certificate, or with whoever judges it."""
    if _none_known():
        return said(
            "this Python knows no authority that could vouch for it; on a Mac, open Python's folder under Applications and"
            " double-click Install Certificates.command"
        )
    return Said(error.verify_message)


def _none_known() -> bool:
    """So it is on a Mac with the Python of python.org, until somebody has clicked there."""
    places = ssl.get_default_verify_paths()
    # a folder is read only when a certificate is looked for in it: the context does not have it yet
    return not (places.cafile or places.capath or ssl.create_default_context().cert_store_stats()["x509_ca"])
