"""SMTP: what we say (`command`), what a reply says (`reply`), how a transaction goes
(`protocol`), and the wire (`session`).
"""
