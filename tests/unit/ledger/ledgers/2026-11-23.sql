BEGIN TRANSACTION;
CREATE TABLE aliases (
	name VARCHAR(64) NOT NULL, 
	alias VARCHAR(32) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	changed FLOAT NOT NULL, 
	PRIMARY KEY (name, alias)
);
INSERT INTO "aliases" VALUES('toy','previous','e25b25741d91',1.795450040171284914e+09);
INSERT INTO "aliases" VALUES('toy','champion','198c85dced4c',1.79545004017153167724e+09);
INSERT INTO "aliases" VALUES('toy','challenger','cf4f8be046f5',1.79545004026661729817e+09);
CREATE TABLE api_keys (
	id VARCHAR(16) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	hint VARCHAR(8) NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "api_keys" VALUES('k','ada','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','abcd',1.0);
CREATE TABLE cluster_deployments (
	name VARCHAR(64) NOT NULL, 
	connection VARCHAR(250) NOT NULL, 
	namespace VARCHAR(63) NOT NULL, 
	workload JSON NOT NULL, 
	record JSON NOT NULL, 
	changed FLOAT NOT NULL, 
	PRIMARY KEY (name, connection, namespace)
);
CREATE TABLE deployments (
	name VARCHAR(64) NOT NULL, 
	record JSON NOT NULL, 
	changed FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "deployments" VALUES('toy','{"name": "toy", "version": "198c85dced4c", "weights": {"198c85dced4c": 90, "cf4f8be046f5": 10}, "endpoint": "http://127.0.0.1:9000/seldon/local/toy/api/v1.0/predictions"}',3.0);
CREATE TABLE evaluations (
	dag VARCHAR(250) NOT NULL, 
	dag_run VARCHAR(250) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	day FLOAT NOT NULL, 
	as_of FLOAT NOT NULL, 
	gate JSON NOT NULL, 
	record JSON NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (dag, dag_run, model)
);
INSERT INTO "evaluations" VALUES('toy','manual__1','toy','manual',1772236800.0,1772323200.0,'{"metric": "auc"}','{"model": "toy", "run": {"id": "run-2", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-2/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "window": {"start": "2026-02-22T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 1000, "metrics": {"challenger": {"auc": 0.71}, "baseline": {"auc": 0.6}}, "champion": "e25b25741d91", "passed": true, "reasons": ["auc 0.71 >= 0.55"], "rules": [{"name": "auc", "passed": true, "got": "0.71", "expected": "0.55"}], "details": "file:///tmp/store-of-23-november/store/runs/run-2/evaluation.json", "report": null, "approval": {"approved": true, "by": "ada", "note": "fine", "at": "2026-03-01T00:00:00+00:00"}}',1.79545004028235244755e+09);
CREATE TABLE insights (
	id INTEGER NOT NULL, 
	report VARCHAR(32) NOT NULL, 
	time FLOAT NOT NULL, 
	user VARCHAR(64), 
	algorithm VARCHAR(129), 
	"key" VARCHAR(255) NOT NULL, 
	value JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "insights" VALUES(1,'r',1.0,'ada','ada/x','k','{"a": 1}');
CREATE TABLE models (
	name VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	record JSON NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "models" VALUES('toy','e25b25741d91','{"name": "toy", "version": "e25b25741d91", "uri": "file:///tmp/store-of-23-november/store/models/toy/e25b25741d91", "digest": "e25b25741d9196fcb337eb40d86059da8a061d5e6ab66ae87d19222caa8c0215", "run": "run-1", "dataset": "5cebc52c865022f2", "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"auc": 0.7}, "lineage": {"id": "run-1", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-1/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "evaluation": {"model": "toy", "run": {"id": "run-1", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-1/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "window": {"start": "2026-02-22T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 1000, "metrics": {"challenger": {"auc": 0.71}, "baseline": {"auc": 0.6}}, "champion": null, "passed": true, "reasons": ["auc 0.71 >= 0.55"], "rules": [{"name": "auc", "passed": true, "got": "0.71", "expected": "0.55"}], "details": "file:///tmp/store-of-23-november/store/runs/run-1/evaluation.json", "report": null, "approval": {"approved": true, "by": "ada", "note": "fine", "at": "2026-03-01T00:00:00+00:00"}}}',1.7954500383352310658e+09);
INSERT INTO "models" VALUES('toy','198c85dced4c','{"name": "toy", "version": "198c85dced4c", "uri": "file:///tmp/store-of-23-november/store/models/toy/198c85dced4c", "digest": "198c85dced4c1f339ab57776368e0b045fe8b7d028abf78901940cffa16fb513", "run": "run-2", "dataset": "5cebc52c865022f2", "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"auc": 0.71}, "lineage": {"id": "run-2", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-2/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "evaluation": {"model": "toy", "run": {"id": "run-2", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-2/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "window": {"start": "2026-02-22T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 1000, "metrics": {"challenger": {"auc": 0.71}, "baseline": {"auc": 0.6}}, "champion": "e25b25741d91", "passed": true, "reasons": ["auc 0.71 >= 0.55"], "rules": [{"name": "auc", "passed": true, "got": "0.71", "expected": "0.55"}], "details": "file:///tmp/store-of-23-november/store/runs/run-2/evaluation.json", "report": null, "approval": {"approved": true, "by": "ada", "note": "fine", "at": "2026-03-01T00:00:00+00:00"}}}',1.7954500401564559937e+09);
INSERT INTO "models" VALUES('toy','cf4f8be046f5','{"name": "toy", "version": "cf4f8be046f5", "uri": "file:///tmp/store-of-23-november/store/models/toy/cf4f8be046f5", "digest": "cf4f8be046f5d4ba7a25285a7a9c76e1f73877fc9c10fa93161527fea5224b63", "run": "run-3", "dataset": "5cebc52c865022f2", "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"auc": 0.72}, "lineage": {"id": "run-3", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-3/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "evaluation": {"model": "toy", "run": {"id": "run-3", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-3/bundle", "seconds": 0.0, "baseline": null, "sweep": null, "trial": null, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}, "window": {"start": "2026-02-22T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 1000, "metrics": {"challenger": {"auc": 0.71}, "baseline": {"auc": 0.6}}, "champion": "198c85dced4c", "passed": true, "reasons": ["auc 0.71 >= 0.55"], "rules": [{"name": "auc", "passed": true, "got": "0.71", "expected": "0.55"}], "details": "file:///tmp/store-of-23-november/store/runs/run-3/evaluation.json", "report": null, "approval": {"approved": true, "by": "ada", "note": "fine", "at": "2026-03-01T00:00:00+00:00"}}}',1.79545004026587104797e+09);
CREATE TABLE reports (
	sweep VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	PRIMARY KEY (sweep, number, step), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
INSERT INTO "reports" VALUES('toy/s',0,0,0.5);
INSERT INTO "reports" VALUES('toy/s',2,0,0.4);
CREATE TABLE rollout_decisions (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	time FLOAT NOT NULL, 
	"before" VARCHAR(32) NOT NULL, 
	"after" VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	findings JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "rollout_decisions" VALUES(1,'toy','cf4f8be046f5',1,1.0,'','starting','','toy manual__1','[]');
INSERT INTO "rollout_decisions" VALUES(2,'toy','cf4f8be046f5',1,3.0,'starting','baking 0','','driver','[]');
CREATE TABLE rollouts (
	name VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	subject JSON NOT NULL, 
	"plan" JSON NOT NULL, 
	state JSON NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	revision INTEGER NOT NULL, 
	driver VARCHAR(64) NOT NULL, 
	lease_until FLOAT NOT NULL, 
	started FLOAT NOT NULL, 
	changed FLOAT NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "rollouts" VALUES('toy','cf4f8be046f5',1,'{"name": "toy", "version": "cf4f8be046f5", "champion": "198c85dced4c", "endpoint": "http://127.0.0.1:9000/seldon/local/toy/api/v1.0/predictions", "owner": "toy manual__1", "turn": "1", "place": null}','{"shadow": null, "steps": [10, 100], "bake": "5m", "checks": [{"check": "ErrorRate", "maximum": null, "worse_by": 0.01}], "on_failure": "rollback", "confidence": 0.95, "min_requests": 100, "extend": "30m", "too_few": "fail", "start": "10m", "sticky": null}','{"phase": "baking", "step": 0, "applied": false, "watched": 0.0, "missed": 0.0, "looked": null, "canary": {"seen": {"started": 0.0, "requests": 0, "errors": 0, "latency": {"bounds": [], "counts": []}, "predictions": {"bounds": [], "counts": []}, "feedback": {}}, "last": null}, "champion": {"seen": {"started": 0.0, "requests": 0, "errors": 0, "latency": {"bounds": [], "counts": []}, "predictions": {"bounds": [], "counts": []}, "feedback": {}}, "last": null}, "reason": ""}','baking',2,'driver',17.0,1.0,3.0);
CREATE TABLE shares (
	sweep VARCHAR(64) NOT NULL, 
	id VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (sweep), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id), 
	UNIQUE (id)
);
INSERT INTO "shares" VALUES('toy/s','6bcdc41a','f2a2c16e683731cef8ccfd113011719956dddab6cef12dbe916b4367d5fd625b',1.79545004035980629913e+09);
CREATE TABLE stops (
	sweep VARCHAR(64) NOT NULL, 
	reason TEXT NOT NULL, 
	time FLOAT NOT NULL, 
	PRIMARY KEY (sweep), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
INSERT INTO "stops" VALUES('toy/s','`sailplane sweep stop`',1.79545004035882139201e+09);
CREATE TABLE sweep_jobs (
	sweep VARCHAR(64) NOT NULL, 
	spec JSON NOT NULL, 
	PRIMARY KEY (sweep), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
INSERT INTO "sweep_jobs" VALUES('toy/s','{"sweep": "toy/s", "model": "toy"}');
CREATE TABLE sweeps (
	id VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	seed INTEGER NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "sweeps" VALUES('toy/s','{"method": "random", "metric": "auc", "goal": "maximize", "parameters": [{"path": ["lr"], "distribution": "categorical", "values": [0.1, 0.2], "probabilities": [], "min": 0, "max": 0, "mu": 0, "sigma": 1, "a": 1, "b": 1, "q": 1}], "target": null, "impute": "worst", "impute_while_running": "false", "stopping": null, "run_cap": 3, "seed": null, "max_time": null, "max_trial_time": null, "workers": null, "name": null}',7,1.79545004029120707509e+09);
CREATE TABLE trials (
	sweep VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	config JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	score FLOAT, 
	run JSON, 
	error TEXT, 
	worker VARCHAR(128) NOT NULL, 
	lease_until FLOAT NOT NULL, 
	PRIMARY KEY (sweep, number), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
INSERT INTO "trials" VALUES('toy/s',0,'{"lr": 0.1}','finished',0.6,'{"id": "run-1", "model": "toy", "config": {}, "seed": 0, "dataset": {"name": "toy", "version": "5cebc52c865022f2", "uri": "file:///tmp/store-of-23-november/store/datasets/toy/versions/5cebc52c865022f2.json", "interval": {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"}, "rows": 4032, "quarantined": 0, "schema": [{"name": "time", "kind": "timestamp", "nullable": false}, {"name": "height", "kind": "number", "nullable": false}, {"name": "colour", "kind": "string", "nullable": false}, {"name": "good", "kind": "boolean", "nullable": true}, {"name": "kind", "kind": "integer", "nullable": false}]}, "as_of": "2026-03-01T00:00:00+00:00", "metrics": {"validation_auc": 0.7}, "bundle": "file:///tmp/store-of-23-november/store/runs/run-1/bundle", "seconds": 0.0, "baseline": null, "sweep": "toy/s", "trial": 0, "features": "", "train": "include.toy.model:train", "code": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "environment": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "stream": false, "steps": null}',NULL,'w1',1.79545007033133649822e+09);
INSERT INTO "trials" VALUES('toy/s',1,'{"lr": 0.1}','failed',NULL,NULL,'it hung','w1',1.79545007035013794898e+09);
INSERT INTO "trials" VALUES('toy/s',2,'{"lr": 0.2}','running',NULL,NULL,NULL,'w1',1.79545007035162353515e+09);
CREATE TABLE wandb_sweeps (
	sweep VARCHAR(64) NOT NULL, 
	path VARCHAR(255) NOT NULL, 
	ended BOOLEAN NOT NULL, 
	PRIMARY KEY (sweep), 
	FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
CREATE INDEX rollout_decisions_by_version ON rollout_decisions (name, version);
CREATE INDEX evaluations_by_day ON evaluations (dag, day);
CREATE INDEX ix_insights_algorithm ON insights (algorithm);
CREATE INDEX trials_by_lease ON trials (sweep, state, lease_until);
COMMIT;
