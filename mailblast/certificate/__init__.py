"""X.509 certificates that say more than who a server is: under DANE, and of a logo."""
