// The peer: nodemailer's pool with a compiled nunjucks template and an RSA-2048 signature.
//
//     node peer.js PACKAGE MESSAGES CONNECTIONS KEY.pem PORT
//
// PACKAGE is the name under which nodemailer is installed.  Run in the directory of its
// node_modules; prints the messages a second, its start excluded.
const { readFileSync } = require('fs');
const { join } = require('path');
const { createRequire } = require('module');

const installed = createRequire(join(process.cwd(), 'package.json'));
const nunjucks = installed('nunjucks');

const [package_, messages, connections, key, port] = process.argv.slice(2);
const nodemailer = installed(package_);
const environment = new nunjucks.Environment(null, { autoescape: true });
const template = (name) =>
  nunjucks.compile(readFileSync(join(__dirname, name), 'utf8'), environment);
const html = template('message.html');
const text = template('message.txt');

const pool = nodemailer.createTransport({
  pool: true,
  maxConnections: Number(connections),
  maxMessages: Infinity,
  host: '127.0.0.1',
  port: Number(port),
  secure: false,
  ignoreTLS: true,
  dkim: {
    domainName: 'letters.example.com',
    keySelector: 'mb1',
    privateKey: readFileSync(key, 'utf8'),
  },
});

function letter(n) {
  const link = `https://letters.example.com/u/${String(n).padStart(37, '0')}`;
  const row = {
    first_name: `Reader${n}`, city: `City ${n % 500}`, points: (n * 7) % 1000,
    unsubscribe_url: link,
  };
  return {
    from: 'Example Letters <letters@letters.example.com>',
    to: `reader${n}@d${n % 50}.example.net`,
    subject: `${row.first_name}, the winter programme`,
    text: text.render(row),
    html: html.render(row),
    headers: {
      'List-Unsubscribe': `<${link}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    },
  };
}

async function main() {
  let next = 0;
  const begun = performance.now();
  const lines = Array.from({ length: Number(connections) }, async () => {
    while (next < Number(messages)) await pool.sendMail(letter(next++));
  });
  await Promise.all(lines);
  console.log((Number(messages) / ((performance.now() - begun) / 1000)).toFixed(1));
  pool.close();
}

main();
