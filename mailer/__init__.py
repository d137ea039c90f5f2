"""An e-mail campaign tool for organisers: nobody missed, nobody mailed twice."""

__version__ = "0.1.0"
