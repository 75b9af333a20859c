"""What the practice Internet sends back, as forms to be filled in.

Each in the manner of the server that writes it; they differ where the real ones differ:
order of fields, what is returned of the message, how the recipient is written.  `mail` is a
`postmaster.Returned`, `types` a `postmaster.Types`.
"""

POSTFIX = """\
Return-Path: <>
X-Original-To: {mail.return_path}
Delivered-To: {mail.return_path}
Received: by {host} (Postfix)
\tid {mail.name}; {mail.date}
Date: {mail.date}
From: MAILER-DAEMON@{host} (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {mail.return_path}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="{boundary}"
Message-Id: <{mail.name}@{host}>

This is a MIME-encapsulated message.

--{boundary}
Content-Description: Notification
Content-Type: text/plain; charset={types.charset}

This is the mail system at host {host}.

Your message could not be delivered to one or more recipients.
The notice of the server that refused it stands below.

                   The mail system

<{mail.recipient}>: host store.{mail.domain}[127.0.0.1] said: {said}
    (in reply to RCPT TO command)

--{boundary}
Content-Description: Delivery report
Content-Type: {types.status}

Reporting-MTA: dns; {host}
{envid}X-Postfix-Queue-ID: {mail.name}
X-Postfix-Sender: rfc822; {mail.return_path}
Arrival-Date: {mail.date}

Final-Recipient: {types.address}; {mail.recipient}
Original-Recipient: {types.address};{mail.recipient}
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.{mail.domain}
Diagnostic-Code: smtp; 550 5.1.1 <{mail.recipient}>: Recipient address
    rejected: User unknown

--{boundary}
Content-Description: Undelivered Message Headers
Content-Type: {types.headers}

Return-Path: <{mail.return_path}>
{mail.head}

--{boundary}--
"""

EXIM = """\
Return-path: <>
Envelope-to: {mail.return_path}
Delivery-date: {mail.date}
Received: from Debian-exim by {host} with local (Exim 4.96)
\tid 1{mail.name}-0A
\tfor {mail.return_path};
\t{mail.date}
X-Failed-Recipients: {mail.recipient}
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@{host}>
To: {mail.return_path}
References: {mail.message_id}
Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1{mail.name}-0A@{host}>
Date: {mail.date}

--{boundary}
Content-type: text/plain; charset={types.charset}

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients; this error is permanent. The address that failed:

  {mail.recipient}
    host store.{mail.domain} [127.0.0.1]
    SMTP error from remote mail server after RCPT TO:<{mail.recipient}>:
    550 No such user here

--{boundary}
Content-type: {types.status}

Reporting-MTA: dns; {host}

Action: failed
Final-Recipient: {types.address};{mail.recipient}
Status: 5.0.0
Remote-MTA: dns; store.{mail.domain}
Diagnostic-Code: smtp; 550 No such user here

--{boundary}
Content-type: {types.headers}

Return-path: <{mail.return_path}>
{mail.head}


--{boundary}--
"""

EXCHANGE = """\
Return-Path: <>
Received: from {host} (127.0.0.1) by mx.practice.example with ESMTPS
\tfor <{mail.return_path}>; {mail.date}
From: <postmaster@{mail.domain}>
To: <{mail.return_path}>
Date: {mail.date}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="{boundary}"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: en-US
Message-ID: <{mail.name}@{host}>
In-Reply-To: {mail.message_id}
References: {mail.message_id}
Subject: Undeliverable: {mail.subject}
Auto-Submitted: auto-replied

--{boundary}
Content-Type: text/html; charset="utf-8"

<html><body><p><b>Delivery has failed to these recipients or groups:</b></p>
<p><a href="mailto:{mail.recipient}">{mail.recipient}</a><br>
The e-mail address you entered couldn't be found.</p>
<p><i>Diagnostic information for administrators:</i></p>
<p>Generating server: {host}</p><p>{mail.recipient}<br>
Remote Server returned '{said}'</p></body></html>

--{boundary}
Content-Type: {types.status}

Reporting-MTA: dns;{host}
Received-From-MTA: dns;mx.practice.example
Arrival-Date: {mail.date}

Final-Recipient: {types.address};{mail.recipient}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;{said}

--{boundary}
Content-Type: {types.message}

{mail.head}

--{boundary}--
"""

OUT_OF_OFFICE = """\
Return-Path: <>
Delivered-To: {mail.return_path}
From: {mail.recipient}
To: {mail.return_path}
Subject: Automatic reply: {mail.subject}
Date: {mail.date}
Message-ID: <{mail.name}.away@{mail.domain}>
In-Reply-To: {mail.message_id}
References: {mail.message_id}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

I am out of the office until Monday and read mail now and then only.
"""

COMPLAINT = """\
Return-Path: <{sender}>
From: <{sender}>
To: <complaints@{mail.sending_domain}>
Subject: FW: {mail.subject}
Date: {mail.date}
Message-ID: <{mail.name}@{host}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
\tboundary="{boundary}"

--{boundary}
Content-Type: text/plain; charset=us-ascii

This is an abuse report for a message that one of our users marked as spam.

--{boundary}
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Practice-FBL/1.0
Version: 1
Original-Mail-From: <{mail.return_path}>
Original-Rcpt-To: <redacted@{mail.domain}>
Arrival-Date: {mail.date}
Source-IP: 127.0.0.1
Reported-Domain: {mail.sending_domain}

--{boundary}
Content-Type: message/rfc822

Return-Path: <{mail.return_path}>
{mail.head}

--{boundary}--
"""

UNSUBSCRIBE = """\
Return-Path: <{mail.recipient}>
Delivered-To: {to}
From: {mail.recipient}
To: {to}
Subject: {subject}
Date: {mail.date}
Message-ID: <{mail.name}.leave@{mail.domain}>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

{body}
"""
