# The dashboards; docs/dashboards.md says more. Included by the Makefile, run from the repository's root.

.PHONY: dashboards dashboards-schema dashboards-png

dashboards: ## Write the dashboards' JSON anew
	go generate ./dashboards

dashboards-schema: ## Make the JSON schema of dashboards from Grafana's own types (npm)
	dir=$$(tools/grafana/install.sh) && cd "$$dir" && node_modules/.bin/ts-json-schema-generator --path schema/types.ts --tsconfig schema/tsconfig.json \
		--type GrafanaDashboard --expose none --jsDoc none --no-type-check --minify -o $(CURDIR)/dashboards/schema/grafana.schema.json

dashboards-png: checkpointd ## Draw the dashboards with Grafana's own components, on the demo's data, into .cache/grafana/png and docs/images (npm, chromium)
	@tools/packages.sh chromium
	tools/grafana/draw.sh bin/checkpointd .cache/grafana/png docs/images
