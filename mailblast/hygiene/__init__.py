"""What an address tells of itself, before any mail goes to it.

Each file knows one sign: `role`, `disposable`, `typo`, `generated`.  They are told addresses and
look nothing up; what is known of the world lies beside them as data, with its source and date.
None of these signs is proof: they are told, and whoever keeps the list decides.
"""
