"""How workers are operated: a unit for systemd, a file for Docker Compose, and the guide (`mailer worker --print`)."""
