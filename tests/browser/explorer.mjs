// Fills a running `txgen emulator` with what a page must not trip over, and prints the addresses of its explorer's pages, one
// in each line after a name.
//
//   node explorer.mjs READY_FILE

import { readFileSync } from 'node:fs';

const ready = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const cosmos = ready.cosmos_db.endpoint;
const hubs = `http://127.0.0.1:${ready.event_hubs.port}`;
const hostile = '<img src=x onerror=alert(1)></pre></textarea><script>alert(2)</script>';

async function post(url, body, headers = {}) {
    const sent = await fetch(url, { method: 'POST', body, headers });
    if (sent.status !== 201) throw new Error(`${url}: ${sent.status} ${await sent.text()}`);
}

// Any Entra ID token is taken.
const token = { authorization: encodeURIComponent('type=aad&ver=1.0&sig=e30.e30.x'), 'x-ms-version': '2020-07-15' };
const create = (path, resource, headers) => post(cosmos + path, JSON.stringify(resource), { ...token, ...headers });

await create('dbs', { id: 'shop <b>' });
await create('dbs/shop%20%3Cb%3E/colls', { id: 'orders', partitionKey: { paths: ['/country'] } }, { 'x-ms-offer-throughput': '400' });
for (const [id, note] of [['1', hostile], ['2', 'x'.repeat(300)], ['3', 'plain']]) {
    const document = { id, country: 'us', note, lines: [{ price: 1.5 }] };
    await create('dbs/shop%20%3Cb%3E/colls/orders/docs', document, { 'x-ms-documentdb-partitionkey': '["us"]' });
}
for (const body of [hostile, 'y'.repeat(300), new Uint8Array([0, 255, 254]), '{"amount":1}']) {
    const headers = { authorization: 'Bearer e30.e30.x', brokerproperties: JSON.stringify({ PartitionKey: 'us' }) };
    await post(`${hubs}/transactions/messages`, body, headers);
}

const page = (parameters) => `${cosmos}_explorer/?${new URLSearchParams(parameters)}`;
const orders = { database: 'shop <b>', container: 'orders' };
console.log('explorer', page({}));
for (const partition of ['0', '1']) console.log(`explorer-events-${partition}`, page({ hub: 'transactions', partition }));
console.log('explorer-documents', page(orders));
console.log('explorer-query', page({ ...orders, query: 'SELECT c.note FROM c WHERE c.id > "1" ORDER BY c.id' }));
console.log('explorer-wrong-query', page({ ...orders, query: `SELECT ${hostile}` }));
