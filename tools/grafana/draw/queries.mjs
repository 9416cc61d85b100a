// Asks a Prometheus for everything that a dashboard shows, as Grafana would.

// expand puts the values in the place of variables written $name or ${name}.
export function expand(text, values) {
  return text.replace(/\$\{?([a-zA-Z_][a-zA-Z0-9_]*)\}?/g, (whole, name) => {
    if (!(name in values)) throw new Error(`${text}: no value for ${whole}`);
    return values[name];
  });
}

async function ask(base, path, parameters) {
  const answer = await fetch(`${base}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${parameters.query}: ${body.error}`);
  return body.data.result;
}

// fill adds to every target and annotation of the dashboard what Prometheus answers, as result.
export async function fill(base, dashboard, {start, end, scrape}) {
  const values = (step) => ({
    job: '.+', instance: '.+', node: '.+', provider: '.+',
    __interval: `${step}s`, __rate_interval: `${Math.max(step + scrape, 4 * scrape)}s`, __range: `${end - start}s`,
  });
  const stepOf = (points) => Math.max(scrape, Math.ceil((end - start) / points));
  const ranged = (expr, step) => ask(base, 'query_range', {query: expand(expr, values(step)), start, end, step});
  for (const annotation of dashboard.annotations.list) {
    annotation.result = annotation.enable ? await ranged(annotation.expr, stepOf(600)) : [];
  }
  for (const panel of dashboard.panels) {
    const step = stepOf(panel.maxDataPoints ?? 600);
    panel.range = {start, end, step};
    for (const target of panel.targets ?? []) {
      target.result = target.instant ? await ask(base, 'query', {query: expand(target.expr, values(step)), time: end}) : await ranged(target.expr, step);
    }
  }
}
