// node draw.mjs PROMETHEUS DASHBOARDS OUT IMAGES MINUTES SCRAPE
// draws every dashboard of a directory, on the last minutes of what the Prometheus knows, in light and dark, into OUT/NAME-MODE.png, and
// the beginnings of some, smaller, into IMAGES/NAME.png. SCRAPE is the interval of its scrapes in seconds.
import {mkdir, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {build} from 'esbuild';
import {chromium} from 'playwright-core';
import {fill} from './queries.mjs';

const [prometheus, from, out, images, minutes, scrape] = process.argv.slice(2);
if (!scrape) {
  console.error('usage: draw.mjs PROMETHEUS DASHBOARDS OUT IMAGES MINUTES SCRAPE');
  process.exit(2);
}
// What the documentation shows: the mode, and how many of the grid's rows.
const excerpts = {'checkpoint-fleet': ['light', 27], 'checkpoint-node-sync': ['dark', 26], 'checkpoint-providers': ['light', 22]};

const end = Math.floor(Date.now() / 1000);
const start = end - Math.round(Number(minutes) * 60);
const dashboards = [];
for (const file of (await readdir(from)).filter((f) => f.endsWith('.json'))) {
  const dashboard = JSON.parse(await readFile(path.join(from, file), 'utf8'));
  await fill(prometheus, dashboard, {start, end, scrape: Number(scrape)});
  dashboards.push(dashboard);
}

const here = import.meta.dirname;
const inline = Object.fromEntries(['.svg', '.png', '.ttf', '.woff', '.woff2', '.gif'].map((kind) => [kind, 'dataurl']));
const {outputFiles} = await build({
  entryPoints: [path.join(here, 'app.jsx')], bundle: true, write: false, outdir: 'out', minify: true, loader: inline,
  define: {'process.env.NODE_ENV': '"production"'}, jsx: 'automatic', logLevel: 'error',
});
const script = outputFiles.find((f) => f.path.endsWith('.js')).text;
const style = outputFiles.find((f) => f.path.endsWith('.css'))?.text ?? '';

await mkdir(out, {recursive: true});
const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']});
let failed = false;
try {
  for (const dashboard of dashboards) {
    const rows = Math.max(...dashboard.panels.map(({gridPos}) => gridPos.y + gridPos.h));
    for (const mode of ['dark', 'light']) {
      const page = await browser.newPage({viewport: {width: 1600, height: rows * 38 + 8}, timezoneId: 'UTC'});
      page.on('console', (m) => { if (m.type() === 'error') console.error(`${dashboard.uid}: ${m.text().slice(0, 400)}`); });
      page.on('pageerror', (err) => { failed = true; console.error(`${dashboard.uid}: ${String(err.stack).slice(0, 800)}`); });
      // Grafana's components want a place with a localStorage. Nothing is fetched from it.
      await page.route('**/*', (route) => route.fulfill({contentType: 'text/html', body: '<!doctype html><meta charset=utf-8><body style="margin:0"><div id=root></div>'}));
      await page.goto('http://drawing.invalid/');
      await page.addStyleTag({content: style});
      await page.evaluate((drawing) => { window.drawing = drawing; }, {dashboard, range: {start, end}, mode});
      await page.addScriptTag({content: script});
      await page.waitForFunction(() => document.title !== '', null, {timeout: 60_000});
      const title = await page.title();
      if (title !== 'drawn') {
        failed = true;
        console.error(`${dashboard.uid}: ${title}`);
      }
      const png = path.join(out, `${dashboard.uid}-${mode}.png`);
      await page.screenshot({path: png});
      console.log(png);
      const [shown, height] = excerpts[dashboard.uid] ?? [];
      if (shown === mode) {
        await page.evaluate(() => { document.body.style.zoom = 0.7; });
        await page.screenshot({path: path.join(images, `${dashboard.uid}.png`), clip: {x: 0, y: 0, width: 1120, height: (height * 38 + 8) * 0.7}});
      }
      await page.close();
    }
  }
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
