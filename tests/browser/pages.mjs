// Opens every page of a folder in a headless browser, and checks what a reader would stumble over.
//
//   CHROMIUM=/usr/bin/chromium node pages.mjs FOLDER [SCREENSHOTS [ADDRESSES]]
//
// ADDRESSES is a file with further pages: a name and an address in each line.
//
// Prints `ok` or `FAIL` for each page and way of looking at it. The exit code is 1 when one failed.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [folder, screenshots, addresses] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const WAYS = [
    { name: 'phone, light', viewport: { width: 360, height: 740 }, colorScheme: 'light' },
    { name: 'phone, dark', viewport: { width: 360, height: 740 }, colorScheme: 'dark' },
    { name: 'desktop, light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
    { name: 'desktop, dark', viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
    // A sheet of A4 between its margins.
    { name: 'printed', viewport: { width: 688, height: 1000 }, colorScheme: 'dark', media: 'print' },
];

/** What is on the page and should not be, or is not and should; runs in the browser. */
function look() {
    const troubles = [];
    const named = (element) => element.closest('figure')?.id || element.closest('section')?.id || element.tagName;

    // Every figure has its data: marks with coordinates, ticks on both axes, something under the pointer, a text
    // alternative, and the same as a table.
    for (const figure of document.querySelectorAll('figure.chart')) {
        const paths = [...figure.querySelectorAll('.marks path')].map((path) => path.getAttribute('d'));
        const count = (selector) => figure.querySelectorAll(selector).length;
        const facts = {
            'a heading': figure.querySelector('figcaption h3')?.textContent.trim(),
            'a text alternative': figure.querySelector('svg[role=img]')?.getAttribute('aria-label'),
            'a mark': paths.some((path) => /^M[\d.]+ [\d.]+L/.test(path)),
            'only numbers in its paths': paths.every((path) => /^[MLZ\d. ]*$/.test(path)),
            'ticks': count('.labels text') >= 3,
            'something under the pointer': count('.bands rect title') > 0,
            'a table': count('tbody tr') > 0 && !/NaN|undefined|inf/.test(figure.querySelector('table').textContent),
        };
        for (const [what, there] of Object.entries(facts)) {
            if (!there) troubles.push(`the figure ${figure.id} lacks ${what}`);
        }
    }
    for (const bars of document.querySelectorAll('.bars')) {
        if (bars.querySelectorAll('.fill').length === 0) troubles.push(`the figure ${named(bars)} has no bars`);
    }

    // Nothing sticks out of the page.
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) troubles.push(`the page is ${scrollWidth} wide, the window ${clientWidth}`);

    // No text overlaps other text. Rectangles of glyphs reach beyond the letters, hence the pixels that are taken off.
    const rectangles = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const parent = texts.currentNode.parentElement;
        const text = texts.currentNode.textContent.trim().slice(0, 40);
        if (!text || parent.closest('title, details:not([open]) > :not(summary)')) continue;
        const range = document.createRange();
        range.selectNodeContents(texts.currentNode);
        const box = parent.closest('.card, figure, .panel, .message')?.getBoundingClientRect();
        const frame = parent.closest('.scroll')?.getBoundingClientRect();
        for (const line of range.getClientRects()) {
            const [left, right, top, bottom] = [line.left + 1, line.right - 1, line.top + 2, line.bottom - 2];
            if (right <= left || bottom <= top) continue;
            // What is scrolled away is not seen.
            if (frame && (bottom > frame.bottom || right > frame.right + 1)) continue;
            rectangles.push({ left, right, top, bottom, text, where: named(parent) });
            if (box && (left < box.left || right > box.right)) {
                troubles.push(`«${text}» sticks out of its box in ${named(parent)}`);
            }
        }
    }
    rectangles.sort((a, b) => a.top - b.top);
    rectangles.forEach((a, i) => {
        for (let j = i + 1; j < rectangles.length && rectangles[j].top < a.bottom; j++) {
            const b = rectangles[j];
            if (a.left < b.right && b.left < a.right) troubles.push(`«${a.text}» and «${b.text}» overlap in ${a.where}`);
        }
    });
    return troubles;
}

/** What keeps those from reading it who cannot see well, or not at all: WCAG 2.1 AA as far as a program can check. */
async function barriers(page) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
        window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }));
    return violations.map(({ id, nodes: [first, ...more] }) =>
        `${id}: ${more.length + 1} times, such as ${first.html.slice(0, 160)} ${first.any?.[0]?.message ?? ''}`);
}

/** Everything that is wrong with a page when it is looked at this way. */
async function troubles(browser, file, url, { name, media, ...options }) {
    const page = await browser.newPage(options);
    const found = [];
    page.on('console', (message) => found.push(`the console says: ${message.text()}`));
    page.on('pageerror', (error) => found.push(`an error: ${error}`));
    page.on('dialog', (dialog) => {
        found.push(`a dialog: ${dialog.message()}`);
        return dialog.dismiss();
    });
    page.on('request', (request) => {
        if (request.url() !== url && !request.url().startsWith('data:')) found.push(`it loads ${request.url()}`);
    });
    await page.goto(url);
    if (media) await page.emulateMedia({ media });
    found.push(...await page.evaluate(look));
    if (media === 'print') {
        // White paper, whatever the screen is like.
        const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        if (paper !== 'rgb(255, 255, 255)') found.push(`it is printed on ${paper}`);
    } else {
        found.push(...await barriers(page));
    }
    // What stands in a form is what is asked, and can be asked again.
    if (await page.locator('form').count() > 0) {
        const shown = await page.locator('main').innerText();
        page.removeAllListeners('request');
        await page.getByRole('button').click();
        if (await page.locator('main').innerText() !== shown) found.push('sending the form shows something else');
    }
    if (screenshots) {
        await page.screenshot({ path: join(screenshots, `${file}-${name.replace(', ', '-')}.png`), fullPage: true });
    }
    await page.close();
    return [...new Set(found)];
}

if (screenshots) mkdirSync(screenshots, { recursive: true });
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
    ],
});
let passed = 0;
let failed = 0;
const files = readdirSync(folder).filter((file) => file.endsWith('.html')).sort();
const pages = files.map((file) => [file, pathToFileURL(join(folder, file)).href]);
const served = addresses ? readFileSync(addresses, 'utf8').trim().split('\n').map((line) => line.split(' ')) : [];
for (const [file, url] of [...pages, ...served]) {
    for (const way of WAYS) {
        const found = await troubles(browser, file, url, way);
        if (found.length === 0) {
            passed += 1;
            console.log(`ok   ${file}, ${way.name}`);
        } else {
            failed += 1;
            console.log(`FAIL ${file}, ${way.name}: ${found.slice(0, 8).join('\n     ')}`);
        }
    }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
