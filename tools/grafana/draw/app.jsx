// Draws a dashboard with Grafana's own components. The state timeline is not among those that Grafana publishes, so it is drawn here.
import React from 'react';
import {createRoot} from 'react-dom/client';
import {createTheme, dateTime, FieldType, getFieldDisplayValues} from '@grafana/data';
import {BigValue, BigValueTextMode, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries, VizRepeater} from '@grafana/ui';
import {TableNG} from '@grafana/ui/unstable';
import {framesOf} from './frames.js';

const {dashboard, range, mode} = window.drawing;
const theme = createTheme({colors: {mode}});
const from = dateTime(range.start * 1000);
const to = dateTime(range.end * 1000);
const timeRange = {from, to, raw: {from, to}};

const cell = 30;
const gap = 8;
const column = (1600 - gap) / 24;

const marks = dashboard.annotations.list.filter((a) => a.enable).flatMap((a) => a.result.flatMap(({values}) => values
  .map(([at, v]) => (a.useValueForTime ? Number(v) / 1000 : at))
  .filter((at) => at >= range.start && at <= range.end)
  .map((at) => ({at, color: theme.visualization.getColorByName(a.iconColor)}))));

// annotate draws the annotations into a graph, as the dashboard would.
function annotate(config) {
  config.addHook('draw', (u) => {
    const {ctx, bbox} = u;
    ctx.save();
    for (const {at, color} of marks) {
      const x = u.valToPos(at * 1000, 'x', true);
      ctx.strokeStyle = ctx.fillStyle = color;
      ctx.lineWidth = 2;
      ctx.setLineDash([5, 5]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 6, bbox.top + bbox.height);
      ctx.lineTo(x + 6, bbox.top + bbox.height);
      ctx.lineTo(x, bbox.top + bbox.height - 8);
      ctx.fill();
    }
    ctx.restore();
  });
  return null;
}

function Stat({panel, frames, w, h}) {
  const {options} = panel;
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: options.reduceOptions, replaceVariables: (s) => s, theme, data: frames, timeZone: 'utc',
  });
  const textMode = options.textMode === 'auto' ? (values.length > 1 ? BigValueTextMode.ValueAndName : BigValueTextMode.Value) : options.textMode;
  return <VizRepeater width={w} height={h} source={values} getValues={() => values} autoGrid renderCounter={1} orientation={options.orientation}
    renderValue={({value, width, height, count}) => <BigValue value={value.display} width={width} height={height} count={count} theme={theme}
      colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={textMode} wideLayout={options.wideLayout} />} />;
}

function StateTimeline({frames, w, h}) {
  const left = 110;
  const fields = frames.flatMap((f) => f.fields.filter((x) => x.type === FieldType.number).map((x) => [f.fields[0].values, x]));
  const height = Math.min((h - 24) / fields.length, 60);
  const x = (at) => left + ((at / 1000 - range.start) / (range.end - range.start)) * (w - left - 8);
  const ticks = Array.from({length: 7}, (_, i) => range.start + (i * (range.end - range.start)) / 7);
  return <svg width={w} height={h} style={{font: '12px Inter, sans-serif'}}>
    {fields.map(([times, field], row) => {
      const spans = [];
      field.values.forEach((v, i) => {
        const last = spans.at(-1);
        if (v === null) return;
        if (last && last.v === v && last.to === times[i]) last.to = times[i + 1] ?? times[i];
        else spans.push({v, from: times[i], to: times[i + 1] ?? times[i]});
      });
      return <g key={row}>
        <text x={left - 8} y={(row + 0.5) * height + 4} textAnchor="end" fill={theme.colors.text.primary}>{field.state.displayName}</text>
        {spans.map((s, i) => {
          const shown = field.display(s.v);
          const wide = x(s.to) - x(s.from);
          return <g key={i}>
            <rect x={x(s.from)} y={row * height + height * 0.075} width={Math.max(wide, 1)} height={height * 0.85} fill={shown.color} fillOpacity={0.8} />
            {wide > shown.text.length * 7.5 && <text x={x(s.from) + 6} y={(row + 0.5) * height + 4} fill={theme.colors.getContrastText(shown.color)}>{shown.text}</text>}
          </g>;
        })}
      </g>;
    })}
    {marks.map(({at, color}, i) => <line key={i} x1={x(at * 1000)} x2={x(at * 1000)} y1={0} y2={fields.length * height} stroke={color} strokeWidth={2} strokeDasharray="5 5" />)}
    {ticks.map((at) => <text key={at} x={x(at * 1000)} y={h - 6} fill={theme.colors.text.secondary}>{dateTime(at * 1000).utc().format(range.end - range.start < 600 ? 'HH:mm:ss' : 'HH:mm')}</text>)}
  </svg>;
}

function Content({panel, frames, w, h}) {
  const empty = frames.every((f) => f.length === 0);
  if (empty && panel.type !== 'stat') {
    return <div style={{display: 'grid', placeItems: 'center', height: h, color: theme.colors.text.secondary}}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  switch (panel.type) {
    case 'stat':
      return <Stat panel={panel} frames={frames} w={w} h={h} />;
    case 'state-timeline':
      return <StateTimeline frames={frames} w={w} h={h} />;
    case 'table': {
      const Drawn = TableNG ?? Table;
      return <Drawn width={w} height={h} data={frames[0]} cellHeight={panel.options.cellHeight} noHeader={!panel.options.showHeader} structureRev={1}
        initialSortBy={panel.options.sortBy} fieldConfig={panel.fieldConfig} />;
    }
    default:
      return <TimeSeries width={w} height={h} frames={frames} structureRev={1} timeRange={timeRange} timeZone="utc" legend={panel.options.legend}>
        {(config) => annotate(config)}
      </TimeSeries>;
  }
}

async function draw() {
  const panels = await Promise.all(dashboard.panels.map(async (panel) => ({panel, frames: panel.targets ? await framesOf(panel, theme) : []})));
  const rows = Math.max(...dashboard.panels.map(({gridPos}) => gridPos.y + gridPos.h));
  createRoot(document.getElementById('root')).render(<ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{position: 'relative', width: 1600, height: rows * (cell + gap) + gap, background: theme.colors.background.canvas}}>
      {panels.map(({panel, frames}) => {
        const {x, y, w, h} = panel.gridPos;
        const place = {position: 'absolute', left: x * column + gap, top: y * (cell + gap) + gap, width: w * column - gap, height: h * (cell + gap) - gap};
        if (panel.type === 'row') return <div key={panel.id} style={{...place, ...theme.typography.h6, color: theme.colors.text.primary}}>▾ {panel.title}</div>;
        return <div key={panel.id} style={place} data-panel={panel.title}>
          <PanelChrome width={place.width} height={place.height} title={panel.title} description={panel.description}>
            {(w, h) => <Content panel={panel} frames={frames} w={w} h={h} />}
          </PanelChrome>
        </div>;
      })}
    </div>
  </ThemeContext.Provider>);
}

draw().then(() => setTimeout(() => { document.title = 'drawn'; }, 1500), (err) => { document.title = `failed: ${err.stack}`; });
