// What a dashboard's JSON may hold, from the types that Grafana publishes. dashboards/schema/grafana.schema.json is made of it.
import type { AnnotationQuery, Dashboard, Panel, RowPanel } from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type { Options as BarGauge } from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type { Options as Stat } from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type { FieldConfig as StateTimelineField, Options as StateTimeline } from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type { FieldConfig as TableField, Options as Table } from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type { FieldConfig as TimeSeriesField, Options as TimeSeries } from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

// Grafana's type leaves out what the Prometheus data source reads of an annotation (packages/grafana-prometheus/src/annotations.ts).
export interface PrometheusAnnotation extends Omit<AnnotationQuery, 'target'> {
  expr: string;
  step?: string;
  tagKeys?: string;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
}

// A panel's options and the custom part of its fields are of its type. The fields' own type is checked apart, so that it may lack what
// has a default.
export interface TypedPanel<Type extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'fieldConfig'> {
  type: Type;
  options: Options;
  fieldConfig: {
    defaults: Omit<NonNullable<Panel['fieldConfig']>['defaults'], 'custom'> & { custom?: Custom };
    overrides: NonNullable<Panel['fieldConfig']>['overrides'];
  };
}

export type GrafanaPanel =
  | TypedPanel<'bargauge', BarGauge, Record<string, never>>
  | TypedPanel<'stat', Stat, Record<string, never>>
  | TypedPanel<'state-timeline', StateTimeline, StateTimelineField>
  | TypedPanel<'table', Table, Partial<TableField>>
  | TypedPanel<'timeseries', TimeSeries, TimeSeriesField>;

export interface GrafanaDashboard extends Omit<Dashboard, 'annotations' | 'panels'> {
  annotations: { list: PrometheusAnnotation[] };
  panels: Array<GrafanaPanel | RowPanel>;
}
