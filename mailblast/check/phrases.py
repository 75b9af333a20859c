"""Words by which rules know what a text says.

A word that is not here is no proof of anything: where these are asked for and none is found,
the finding is a warning at most, unless the text is known to say nothing.
"""

import re


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


# What says that one can opt out, in the languages in which most bulk mail is written.
OPT_OUT = _any(
    r"un-?\s?subscri", r"opt[ -]?(?:ing )?out", r"stop (?:receiving|these|all)",
    r"no longer (?:wish|want)", r"\bno more (?:e-?mails?|mail|letters?|messages?)",
    r"leave (?:this|the|our) list", r"remove me", r"(?:e-?mail|mail) preferences",
    r"manage (?:your )?(?:preferences|subscription)",
    r"abmeld", r"abbestell", r"abzumelden", r"austragen",  # German
    r"d[ée]s(?:abonn|inscri)", r"ne plus recevoir",  # French
    r"dar(?:se|te|me)? de baja", r"cancelar (?:la |tu |su )?suscripci", r"anular",  # Spanish
    r"disiscri", r"annulla(?:re)? l.iscrizione", r"cancella(?:ti|rsi|re)",  # Italian
    r"cancelar (?:a )?(?:inscri|subscri|assinatura)", r"descadastr",  # Portuguese
    r"afmeld", r"uitschrijv", r"avmeld", r"avregistrer", r"avprenumerer",  # Dutch, Nordic
    r"frameld", r"peru(?:uta)? tilau",
    r"wypis", r"zrezygn", r"odhlás", r"odhlas", r"leiratkoz", r"dezabon",  # central Europe
    r"отпис", r"відпис", r"διαγραφ", r"aboneli(?:k|ğ)",
    r"配信停止", r"購読解除", r"登録解除", r"退订", r"退訂", r"取消订阅", r"取消訂閱",
    r"수신\s?거부", r"إلغاء الاشتراك", r"הסר",
)  # fmt: skip

# Of a choice that ends all mail, and not one list.
ALL = _any(
    r"\b(?:all|any|every(?:thing)?|alle[mns]?|sämtliche\w*|tous|toutes?|tod[ao]s?|tutt[eio]|"
    r"alles|wszystk\w+|alla|allt|kaikki|tümü?|hepsi\w*|všech\w*|všetk\w*|összes|minden\w*|toate|"
    r"semua)\b",
    r"全て|すべて|所有|全部|все|всі|όλ(?:α|ες|ους|ων)|모든|모두|전체|جميع|הכל|tất cả|ทั้งหมด",
)  # fmt: skip

# Words of a link that say nothing of what it does.
SAYS_NOTHING = re.compile(
    r"\W*(?:click|tap|press)?\W*(?:here|this|this link|link|more|hier|ici|aquí|aqui|qui)?\W*",
    re.IGNORECASE,
)

ADVERTISEMENT = _any(
    r"advertis(?:e|ing)", r"promotional (?:e-?mail|message|offer)", r"solicitation",
    r"sponsored", r"commercial (?:e-?mail|message)", r"\bwerbung\b", r"anzeige\b",
    r"publicit", r"pubblicit", r"reklam",
)  # fmt: skip

PROMOTION = _any(
    r"\d+ ?% off", r"\bsale\b", r"\bdiscount", r"\bcoupon", r"\bspecial offer",
    r"\blimited[ -]time", r"\bbuy now", r"\border now", r"\bshop now", r"\bfree shipping",
    r"\bdeals?\b", r"\bsave \W?\d", r"\brabatt", r"\bangebot", r"\bsolde", r"\bpromo",
)  # fmt: skip

# RCW 19.190.020(1)(b); Brown v. Old Navy (Wash. 2025).
DEADLINE = re.compile(
    r"today only|ends? (?:today|tonight|tomorrow|\w+day)|last (?:chance|day)|final hours?"
    r"|\d+ (?:hours?|days?) (?:left|only)|only \d+ (?:hours?|days?)|expires\b",
    re.IGNORECASE,
)

REPLY_OR_FORWARD = re.compile(
    r"\s*((?:re|aw|sv|antw|fw|fwd|wg|tr|rv)\s*(?:\[\d+\])?:)", re.IGNORECASE
)

# In a text that asks for replies: "reply with STOP", "answer this mail to be removed".
OPT_OUT_BY_REPLY = re.compile(
    r"\b(?:reply|answer|respond)\b[^.\n]{0,80}\b(?:unsubscribe|remove|stop|opt[ -]?out)",
    re.IGNORECASE,
)

PRIVACY = _any(
    r"privacy", r"datenschutz", r"confidentialit", r"privacidad", r"privacidade",
    r"riservatezza", r"personuppgift", r"persondata", r"prywatno", r"osobních údaj",
)  # fmt: skip
