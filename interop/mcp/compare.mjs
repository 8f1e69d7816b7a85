// Compares the checks of two runs of the conformance suite. Usage: compare.mjs <what> <folder without> <folder with the guard>
import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

const [what, without, guarded] = process.argv.slice(2);

/** The checks of each scenario, without what differs between two runs. */
function read(folder) {
  const scenarios = new Map();
  for (const file of globSync("**/checks.json", { cwd: folder })) {
    // The folder of a scenario ends with the time of the run.
    const scenario = dirname(file).replace(/-\d{4}-\d\d-\d\dT.*$/, "");
    const checks = JSON.parse(readFileSync(`${folder}/${file}`, "utf8"));
    scenarios.set(scenario, checks.map(({ errorMessage, id, status }) => ({ errorMessage, id, status })));
  }
  return scenarios;
}

const [expected, got] = [read(without), read(guarded)];
const normalized = (checks) => JSON.stringify(checks, null, 2).replace(/127\.0\.0\.1:\d+/g, "127.0.0.1");
let differences = 0;
for (const scenario of new Set([...expected.keys(), ...got.keys()])) {
  const [left, right] = [normalized(expected.get(scenario) ?? []), normalized(got.get(scenario) ?? [])];
  if (left === right) continue;
  differences += 1;
  console.log(`${scenario}: without the guard ${left}, with the guard ${right}`);
}
const all = [...expected].flatMap(([scenario, checks]) => checks.map(({ status }) => ({ scenario, status })));
if (differences > 0 || all.length === 0) {
  console.log(`${what}: ${differences} of ${expected.size} scenarios differ`);
  process.exit(1);
}
const succeeded = all.filter(({ status }) => status === "SUCCESS").length;
const others = [...new Set(all.filter(({ status }) => status === "FAILURE").map(({ scenario }) => scenario))];
const skipped = all.filter(({ status }) => status === "SKIPPED").length;
console.log(
  `ok ${what}: the same ${all.length} checks of ${expected.size} scenarios, of which ${succeeded} succeed, ${skipped} are skipped`,
);
if (others.length > 0) console.log(`   rmcp fails, with and without the guard: ${others.join(", ")}`);
