package rulestest

import (
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// alertmanagers are the shipped configurations, by file, and the receiver that stands for people in each.
var alertmanagers = map[string]string{
	"../../deploy/alertmanager/alertmanager.yml": "people",
	"../alertmanager.yml":                        "log",
}

func loadAlertmanager(t *testing.T, file string) *amconfig.Config {
	t.Helper()
	c, err := amconfig.LoadFile(file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

// labelSet is what an alert of the rule looks like on its way through Alertmanager.
func (a Alert) labelSet(values map[string]string) model.LabelSet {
	l := model.LabelSet{"alertname": model.LabelValue(a.Name)}
	for name, value := range a.Labels {
		l[model.LabelName(name)] = model.LabelValue(value)
	}
	for _, name := range a.Bears {
		l[model.LabelName(name)] = model.LabelValue(values[name])
	}
	return l
}

var aboutOne = map[string]string{"node": "n1", "provider": "p1", "job": "j", "instance": "i"}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for file, people := range alertmanagers {
		t.Run(file, func(t *testing.T) {
			route := dispatch.NewRoute(loadAlertmanager(t, file).Route, nil)
			for _, a := range shipped(t).Alerts {
				var got []string
				for _, r := range route.Match(a.labelSet(aboutOne)) {
					got = append(got, r.RouteOpts.Receiver)
				}
				want := []string{people}
				switch {
				case a.Labels["playbook"] != "":
					want = []string{"remediator", people}
				case a.Labels["severity"] == "none":
					want = []string{"nobody"}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: goes to %v, not to %v", a.Name, got, want)
				}
			}
			// What comes from other rules concerns the remediator as little.
			for _, r := range route.Match(model.LabelSet{"alertname": "Other", "severity": "critical"}) {
				if r.RouteOpts.Receiver != people {
					t.Errorf("an alert of other rules goes to %s", r.RouteOpts.Receiver)
				}
			}
		})
	}
}

// TestRemediatorsRoute holds the route to what the time to a failover is reckoned with.
func TestRemediatorsRoute(t *testing.T) {
	t.Parallel()
	for file := range alertmanagers {
		t.Run(file, func(t *testing.T) {
			route := dispatch.NewRoute(loadAlertmanager(t, file).Route, nil)
			for _, r := range route.Match(model.LabelSet{"playbook": "node_stalled"}) {
				o := r.RouteOpts
				if o.Receiver != "remediator" {
					continue
				}
				if !o.GroupByAll {
					t.Error("alerts are grouped, so the status of one hides another's")
				}
				want := []time.Duration{time.Second, time.Minute, 10 * time.Minute}
				if got := []time.Duration{o.GroupWait, o.GroupInterval, o.RepeatInterval}; !slices.Equal(got, want) {
					t.Errorf("group_wait, group_interval, repeat_interval are %v, not %v", got, want)
				}
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	c := loadAlertmanager(t, "../../deploy/alertmanager/alertmanager.yml")
	for _, r := range c.Receivers {
		if r.Name != "remediator" {
			continue
		}
		if len(r.WebhookConfigs) != 1 {
			t.Fatalf("the remediator has %d webhooks", len(r.WebhookConfigs))
		}
		w := r.WebhookConfigs[0]
		if got := string(w.URL); got != "http://127.0.0.1:10178/api/v1/alerts" {
			t.Errorf("url: is %q", got)
		}
		if !w.SendResolved() {
			t.Error("send_resolved: is false")
		}
		if w.MaxAlerts != 0 {
			t.Errorf("max_alerts: cuts messages at %d", w.MaxAlerts)
		}
		if auth := w.HTTPConfig.Authorization; auth == nil || auth.Type != "Bearer" || auth.CredentialsFile != "/etc/checkpoint/token" {
			t.Errorf("http_config.authorization: is %+v", auth)
		}
		return
	}
	t.Error("there is no receiver `remediator`")
}

const (
	sameNode  = "the same node or provider"
	otherNode = "another one"
)

// inhibited says which alerts each one inhibits: all of these and no others. A suffix tells whether the other must be
// about the same node or provider.
var inhibited = map[string][]string{
	"CheckpointExporterDown": {
		"CheckpointNetworkNotFinalizing", "CheckpointNetworkResetImminent", "CheckpointNetworkResetWindow", "CheckpointNoUsableQuorum",
		"CheckpointNodeBackfillStalled", "CheckpointNodeDown", "CheckpointNodeExecutionOffline", "CheckpointNodeExecutionSlow",
		"CheckpointNodeExecutionStuck", "CheckpointNodeExecutionWrongNetwork", "CheckpointNodeNoPeers", "CheckpointNodeOldIteration",
		"CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster", "CheckpointNodeSourceUnknown", "CheckpointNodeSourceUnusable",
		"CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled", "CheckpointNodeUnreachable",
		"CheckpointNodeWrongNetwork", "CheckpointProviderCertificateExpiring", "CheckpointProviderDisagrees", "CheckpointProviderDown",
		"CheckpointProviderNoState", "CheckpointProviderOldIteration", "CheckpointProviderStale", "CheckpointProviderWrongNetwork",
	},
	"CheckpointNetworkResetWindow": {
		"CheckpointNetworkNotFinalizing", "CheckpointNoUsableQuorum", "CheckpointNodeBackfillStalled", "CheckpointNodeDown",
		"CheckpointNodeExecutionOffline", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck", "CheckpointNodeExecutionWrongNetwork",
		"CheckpointNodeNoPeers", "CheckpointNodeOldIteration", "CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster",
		"CheckpointNodeSourceUnknown", "CheckpointNodeSourceUnusable", "CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow",
		"CheckpointNodeSyncStalled", "CheckpointNodeUnreachable", "CheckpointNodeWrongNetwork", "CheckpointProviderDisagrees",
		"CheckpointProviderDown", "CheckpointProviderNoState", "CheckpointProviderOldIteration", "CheckpointProviderStale",
		"CheckpointProviderWrongNetwork",
	},
	"CheckpointNetworkNotFinalizing": {
		"CheckpointNoUsableQuorum", "CheckpointNodeBackfillStalled", "CheckpointNodeExecutionOffline", "CheckpointNodeNoPeers",
		"CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster", "CheckpointNodeSourceUnusable", "CheckpointNodeStuckOptimistic",
		"CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled", "CheckpointProviderStale",
	},
	"CheckpointProviderDisagrees " + sameNode: {
		"CheckpointProviderDown", "CheckpointProviderNoState", "CheckpointProviderOldIteration", "CheckpointProviderStale",
	},
	"CheckpointProviderWrongNetwork " + sameNode: {
		"CheckpointProviderDown", "CheckpointProviderNoState", "CheckpointProviderOldIteration", "CheckpointProviderStale",
	},
	"CheckpointNodeUnreachable " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck", "CheckpointNodeNoPeers",
		"CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster", "CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow",
		"CheckpointNodeSyncStalled",
	},
	"CheckpointNodeDown " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck", "CheckpointNodeNoPeers",
		"CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster", "CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow",
		"CheckpointNodeSyncStalled", "CheckpointNodeUnreachable",
	},
	"CheckpointNodeWrongNetwork " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionOffline", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck",
		"CheckpointNodeExecutionWrongNetwork", "CheckpointNodeNoPeers", "CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster",
		"CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled",
	},
	"CheckpointNodeOldIteration " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionOffline", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck",
		"CheckpointNodeExecutionWrongNetwork", "CheckpointNodeNoPeers", "CheckpointNodeOutsideWeakSubjectivity", "CheckpointNodeResyncFaster",
		"CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled",
	},
	"CheckpointNodeExecutionOffline " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck", "CheckpointNodeResyncFaster",
		"CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled",
	},
	"CheckpointNodeExecutionWrongNetwork " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeExecutionSlow", "CheckpointNodeExecutionStuck", "CheckpointNodeResyncFaster",
		"CheckpointNodeStuckOptimistic", "CheckpointNodeSyncSlow", "CheckpointNodeSyncStalled",
	},
	"CheckpointNodeSyncStalled " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeSyncSlow",
	},
	"CheckpointNodeOutsideWeakSubjectivity " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeResyncFaster", "CheckpointNodeSyncSlow",
	},
	"CheckpointNodeResyncFaster " + sameNode: {
		"CheckpointNodeBackfillStalled", "CheckpointNodeSyncSlow",
	},
}

// TestInhibition tries every alert against every other, about the same node or provider and about another.
func TestInhibition(t *testing.T) {
	t.Parallel()
	alerts := shipped(t).Alerts
	for file := range alertmanagers {
		t.Run(file, func(t *testing.T) {
			rules := loadAlertmanager(t, file).InhibitRules
			for _, source := range alerts {
				firing := source.labelSet(aboutOne)
				mutes := muter(t, rules, firing)
				for _, node := range []string{sameNode, otherNode} {
					values := maps.Clone(aboutOne)
					if node == otherNode {
						values["node"], values["provider"] = "n2", "p2"
					}
					var got []string
					for _, target := range alerts {
						if target.Name != source.Name && mutes(target.labelSet(values)) {
							got = append(got, target.Name)
						}
					}
					want := inhibited[source.Name]
					if want == nil {
						want = inhibited[source.Name+" "+node]
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s inhibits, with %s: -want +got\n%s", source.Name, node, diff)
					}
				}
			}
		})
	}
}

// TestOneOfSeveralExportersInhibitsNothing has an exporter down that is not the last one.
func TestOneOfSeveralExportersInhibitsNothing(t *testing.T) {
	t.Parallel()
	for file := range alertmanagers {
		t.Run(file, func(t *testing.T) {
			mutes := muter(t, loadAlertmanager(t, file).InhibitRules, model.LabelSet{
				"alertname": "CheckpointExporterDown", "severity": "critical", "job": "checkpoint_exporter", "instance": "a:10177",
			})
			for _, a := range shipped(t).Alerts {
				if mutes(a.labelSet(aboutOne)) {
					t.Errorf("%s is inhibited", a.Name)
				}
			}
		})
	}
}

// muter runs Alertmanager's own inhibition with one alert firing.
func muter(t *testing.T, rules []amcommon.InhibitRule, firing model.LabelSet) func(model.LabelSet) bool {
	t.Helper()
	log, recorder := slog.New(slog.DiscardHandler), eventrecorder.NopRecorder()
	store, err := mem.NewAlerts(t.Context(), time.Hour, 0, nil, log, recorder, prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	now := time.Now()
	if err := store.Put(t.Context(), &alert.Alert{
		Alert:     model.Alert{Labels: firing, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour)},
		UpdatedAt: now,
	}); err != nil {
		t.Fatal(err)
	}
	i := inhibit.NewInhibitor(store, rules, log, recorder)
	done := make(chan struct{})
	go func() { defer close(done); i.Run() }()
	i.WaitForLoading()
	t.Cleanup(func() { i.Stop(); <-done })
	return func(l model.LabelSet) bool { return i.Mutes(t.Context(), l) }
}
