// From what Prometheus answers to the data frames that Grafana's components draw, with the panel's field configuration applied.
import {
  cacheFieldDisplayNames, FieldType, getDisplayProcessor, getFieldDisplayName, standardTransformers, standardTransformersRegistry,
  stringToJsRegex, toDataFrame, transformDataFrame,
} from '@grafana/data';

const byId = new Map(Object.values(standardTransformers).map((t) => [t.id, t])); // some stand there under two names
standardTransformersRegistry.setInit(() => [...byId.values()].map((t) => ({id: t.id, name: t.name, transformation: async () => t, editor: null})));

const legend = (format, labels) => format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '') || JSON.stringify(labels);

const number = (text) => (text === 'NaN' ? null : Number(text));

// series makes a frame of every series. Points that Prometheus does not give become null, so that a gap stays one.
function series(target, range) {
  return target.result.map(({metric, values, value}) => {
    const points = new Map((values ?? [value]).map(([at, v]) => [Math.round(at), number(v)]));
    const times = [];
    if (value) times.push(Math.round(value[0]));
    else for (let at = range.start; at <= range.end; at += range.step) times.push(Math.round(at));
    const name = legend(target.legendFormat, metric);
    return toDataFrame({
      refId: target.refId, name,
      fields: [
        {name: 'Time', type: FieldType.time, values: times.map((at) => at * 1000), config: {}},
        {name: 'Value', type: FieldType.number, labels: metric, values: times.map((at) => points.get(at) ?? null), config: {displayNameFromDS: name}},
      ],
    });
  });
}

// tabular makes one frame of a target: its labels and its value are columns.
function tabular(target, alone) {
  const labels = [...new Set(target.result.flatMap(({metric}) => Object.keys(metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      {name: 'Time', type: FieldType.time, values: target.result.map((r) => r.value[0] * 1000), config: {}},
      ...labels.map((name) => ({name, type: FieldType.string, values: target.result.map((r) => r.metric[name] ?? ''), config: {}})),
      {name: alone ? 'Value' : `Value #${target.refId}`, type: FieldType.number, values: target.result.map((r) => number(r.value[1])), config: {}},
    ],
  });
}

function set(config, id, value) {
  const path = id.split('.');
  const last = path.pop();
  let at = config;
  for (const key of path) at = at[key] = {...at[key]};
  at[last] = value;
}

function matches({id, options}, name) {
  if (id === 'byName') return name === options;
  if (id === 'byRegexp') return stringToJsRegex(options).test(name);
  throw new Error(`no matcher ${id}`);
}

function thresholds({mode, steps}) {
  return {mode, steps: steps.map((s) => ({...s, value: s.value ?? -Infinity}))};
}

// configure applies the defaults and overrides of the panel, and makes what turns values into words and colours.
function configure(frames, panel, theme) {
  cacheFieldDisplayNames(frames);
  let index = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      const name = getFieldDisplayName(field, frame, frames);
      const config = {...structuredClone(panel.fieldConfig.defaults), ...field.config};
      if (field.type === FieldType.time || field.type === FieldType.string) delete config.unit;
      for (const {matcher, properties} of panel.fieldConfig.overrides) {
        if (!matches(matcher, name)) continue;
        for (const {id, value} of properties) if (id !== 'links') set(config, id, value);
      }
      config.thresholds = thresholds(config.thresholds);
      field.config = config;
      field.state = {...field.state, displayName: name, seriesIndex: field.type === FieldType.number ? index++ : undefined};
      if (config.min === undefined && config.max === undefined && field.type === FieldType.number) {
        const known = field.values.filter((v) => v !== null);
        field.state.range = {min: Math.min(...known), max: Math.max(...known), delta: Math.max(...known) - Math.min(...known)};
      }
      field.display = getDisplayProcessor({field, theme, timeZone: 'utc'});
    }
  }
  return frames;
}

// framesOf returns a panel's data as its component gets it.
export async function framesOf(panel, theme) {
  if (panel.type !== 'table') return configure(panel.targets.flatMap((t) => series(t, panel.range)), panel, theme);
  const raw = panel.targets.map((t) => tabular(t, panel.targets.length === 1)).filter((f) => f.length > 0);
  const joined = await new Promise((resolve, reject) => {
    transformDataFrame(panel.transformations, raw).subscribe({next: resolve, error: reject});
  });
  return configure(joined, panel, theme);
}
