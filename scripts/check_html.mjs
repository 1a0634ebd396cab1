// Holds the HTML report against a real browser: node scripts/check_html.mjs REPORT.html [FOLDER FOR SCREENSHOTS]
//
// Needs Chromium (CHROMIUM, default /usr/bin/chromium) and, in a folder named by NODE_MODULES, playwright-core and axe-core
// (npm install playwright-core axe-core). Not part of the tests: those need no browser.
//
// Looks at the page in light and dark, on a desk and on a phone; searches, filters, sorts, opens a case, follows a deep
// link, goes by keys; checks that no request leaves the page, that nothing an output contains ran, that no error was
// logged, that axe finds nothing; measures opening and filtering (medians of five).
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(resolve(process.env.NODE_MODULES || ".", "package.json"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const [file, folder = "screenshots"] = process.argv.slice(2);
const address = pathToFileURL(resolve(file)).href;
mkdirSync(folder, { recursive: true });
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
const wrong = [];
const check = (right, what) => { console.log((right ? "ok    " : "WRONG ") + what); if (!right) wrong.push(what); };
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function open(options = {}, hash = "") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const heard = [];
  page.on("request", (request) => { if (request.url() !== address && !request.url().startsWith("data:")) heard.push("request " + request.url()); });
  page.on("dialog", (dialog) => { heard.push("dialog " + dialog.message()); dialog.dismiss(); });
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) heard.push("console " + message.text()); });
  page.on("pageerror", (error) => heard.push("error " + error.message));
  const began = Date.now();
  await page.goto(address + hash);
  await page.waitForFunction(() => document.documentElement.dataset.ready);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  page.took = Date.now() - began;
  page.heard = heard;
  return page;
}

// How it looks, and whether everybody can use it.
for (const [name, viewport] of [["desk", { width: 1280, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ viewport, colorScheme, deviceScaleFactor: name === "phone" ? 2 : 1 });
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    check(!wide, `${name}, ${colorScheme}: no sideways scrolling`);
    await page.locator(".body .row").first().click();
    await page.waitForSelector("#detail:not([hidden])");
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}-case.png` });
    // axe is brought in by the browser's tools, which the page's policy does not bind.
    const session = await page.context().newCDPSession(page);
    await session.send("Page.setBypassCSP", { enabled: true });
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(axe, "utf8"));
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const told = found.violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.failureSummary || "").replaceAll("\n", " ")).join(" | ")}`);
    check(told.length === 0, `${name}, ${colorScheme}: axe finds nothing ${told.join("; ")}`);
    check(page.heard.length === 0, `${name}, ${colorScheme}: quiet ${page.heard.slice(0, 3).join("; ")}`);
    await page.context().close();
  }
}

// What it does.
{
  const page = await open();
  const count = async () => Number((await page.textContent("#status")).split(" ")[0]);
  const all = await count();
  const first = await page.locator(".body .row").nth(1).textContent();
  check(all > 0 && first.length > 0, `${all} cases`);
  const id = await page.evaluate(() => cases[Math.min(3, cases.length - 1)].i);
  await page.keyboard.press("/");
  await page.keyboard.type(id);
  check((await count()) >= 1 && (await count()) < all, `search for ${id}: ${await count()}`);
  check((await page.evaluate(() => location.hash)).includes("q="), "the search is in the address");
  await page.keyboard.press("Escape");
  await page.click("#clear");
  check((await count()) === all, "clear shows all again");
  const options = await page.locator("#change option").allTextContents();
  await page.selectOption("#change", { index: 1 });
  const expected = Number(/\((\d+)\)/.exec(options[1])[1]);
  check((await count()) === expected, `filter by change: ${options[1]}`);
  await page.click("#clear");
  await page.selectOption("#dataset", { index: 1 });
  check((await count()) <= all, `filter by dataset: ${await count()}`);
  await page.click("#clear");
  if ((await page.locator("#tag option").count()) > 1) {
    await page.selectOption("#tag", { index: 1 });
    check((await count()) >= 1 && (await count()) <= all, `filter by tag: ${await count()}`);
    await page.click("#clear");
  }
  await page.click('[data-sort="case"]');
  const names = await page.locator(".body .row > :nth-child(2)").allTextContents();
  const order = await page.evaluate(() => shown.map((at) => [cases[at].d, cases[at].i]));
  check(order.every((one, at) => !at || order[at - 1][0] < one[0] || (order[at - 1][0] === one[0] && order[at - 1][1] <= one[1])), `sorted by case: ${names[0]}`);
  await page.click('[data-sort="case"]');
  check((await page.evaluate(() => location.hash)).includes("sort=-case"), "sorted downwards, and so in the address");
  await page.click("#clear");
  await page.focus("#body");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#detail:not([hidden])");
  const name = await page.textContent("#detail h3");
  const link = await page.evaluate(() => location.hash);
  check(link.includes("case="), `keys open ${name}: ${link}`);
  const detail = await page.textContent("#detail");
  check(!detail.includes("[object") && !detail.includes("undefined"), "the detail is all text");
  await page.keyboard.press("ArrowDown");
  check((await page.textContent("#detail h3")) !== name, "the arrow goes to the next case");
  await page.keyboard.press("Escape");
  check(await page.locator("#detail").isHidden(), "Escape closes it");
  await page.keyboard.press("?");
  check(await page.evaluate(() => document.getElementById("keys").open), "? shows the keys");
  await page.keyboard.press("Escape");
  await page.click("#theme");
  check(["light", "dark"].includes(await page.evaluate(() => document.documentElement.dataset.theme)), "the theme turns");
  const linked = await open({}, link);
  check((await linked.textContent("#detail h3")) === name, `a deep link opens ${name}`);
  const button = linked.locator("#transitions button").nth(1);
  if (await button.count()) {
    const n = Number(await button.textContent());
    await button.click();
    check(Number((await linked.textContent("#status")).split(" ")[0]) === n, `a transition shows its ${n} cases`);
  }
  check(page.heard.length + linked.heard.length === 0, `quiet ${[...page.heard, ...linked.heard].slice(0, 3).join("; ")}`);
  // Hostile outputs, where the report has them.
  const hostile = await page.evaluate(() => cases.findIndex((one) => text(one.o).includes("<script")));
  if (hostile >= 0) {
    const title = await page.evaluate((at) => title(cases[at]), hostile);
    const evil = await open({}, "#case=" + encodeURIComponent(title));
    const shown = await evil.textContent("#detail");
    const made = await evil.evaluate(() => document.querySelectorAll("#detail script, #detail img, #body img, #body script").length);
    check(shown.includes("<script>alert(1)</script>") && made === 0, `a hostile output is text: ${title}`);
    check(evil.heard.length === 0, `and nothing ran ${evil.heard.join("; ")}`);
    await evil.screenshot({ path: `${folder}/hostile.png` });
  }
}

// How fast it is.
{
  const took = [];
  for (let turn = 0; turn < 5; turn++) {
    const page = await open();
    took.push(page.took);
    await page.context().close();
  }
  const page = await open();
  const times = {};
  await page.evaluate(() => search());
  for (const [what, act] of [
    ["search", async (turn) => { await page.fill("#q", ["order", "deliver", "pay", "the", "x"][turn]); }],
    ["dataset", async (turn) => { await page.selectOption("#dataset", { index: turn % 2 }); }],
    ["change", async (turn) => { await page.selectOption("#change", { index: turn % 2 }); }],
    ["sort", async () => { await page.click('[data-sort="delta"]'); }],
  ]) {
    await page.click("#clear");
    times[what] = [];
    for (let turn = 0; turn < 5; turn++) {
      await act(turn);
      times[what].push(Number(await page.evaluate(() => document.documentElement.dataset.filtered)));
    }
  }
  const total = await page.evaluate(() => cases.length);
  console.log(`${total} cases: open ${median(took)} ms; ` + Object.entries(times).map(([what, all]) => `${what} ${median(all)} ms`).join(", "));
}
await browser.close();
if (wrong.length) { console.log(`${wrong.length} wrong`); process.exit(1); }
