"""Deploys the baseline that a verdict offers, on a person's decision."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime

from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import ModelError
from sailplane.evaluation import history
from sailplane.evaluation.history import Judged
from sailplane.evaluation.outdated import outdated
from sailplane.ledger import Ledger
from sailplane.records import Approval, Model, Offer
from sailplane.registry.models import alias, register
from sailplane.storage import Storage


def deploy(serving: ModelEndpoint, storage: Storage, by: str, dag_run: str | None = None) -> Model:
    """Registers the baseline that a verdict offers, and gives it all the traffic at once. Returns its version. The
    person's decision is recorded with the verdict and the version, and lifts a hold. A second call continues an
    interrupted one.

    :param by: the person
    :param dag_run: the run of the verdict; None for the model's newest verdict
    :raises ModelError: if there is no offer, if it no longer stands, or if its bundle is gone or damaged
    :raises DeploymentError: while a rollout is running, or if the baseline does not start; the served version stays
    """
    ledger, name = serving.ledger, serving.name
    judged = _judged(ledger, name, dag_run)
    offer = _standing(ledger, judged)
    interrupted = _is_interrupted(ledger, offer, by)
    approval = Approval(approved=True, by=by, note=f"`{offer.command}`", at=datetime.now(UTC))
    accepted = offer.answered(approval)
    evaluation = accepted.evaluation
    model = register(ledger, storage, evaluation.run, evaluation.metrics["challenger"], evaluation)
    if interrupted or not serves(ledger, offer):
        serving.deploy(model, by, approval=approval)
    elif _accepted(offer):
        return model
    history.amend(ledger, judged.dag, judged.dag_run, replace(judged.evaluation, offer=accepted), storage)
    return model


def serves(ledger: Ledger, offer: Offer) -> bool:
    """True if the offered baseline is the champion."""
    champion = alias(ledger, offer.evaluation.model, "champion")
    return champion is not None and champion.version == offer.version


def withdrawn(ledger: Ledger, judged: Judged) -> str | None:
    """The reason why the verdict's offer does not stand, with the remedy; None if it stands."""
    offer = judged.evaluation.offer
    if offer is None:
        return (
            "its verdict offers no baseline. "
            "The task `deploy` of a run serves a model that passed; `--run RUN` names the verdict of another run"
        )
    if judged.kind == "backfill":
        return "it is a backfill, which never changes what is served. Run that day as a scheduled or a manual run"
    approval = offer.evaluation.approval
    if approval is not None and approval.by_person and not approval.approved:
        return f"its baseline was {approval}. Clear `approve` to ask again"
    return None if serves(ledger, offer) else outdated(ledger, offer.evaluation)


def _accepted(offer: Offer) -> bool:
    """True if a person's approval is recorded with the verdict."""
    approval = offer.evaluation.approval
    return approval is not None and approval.by_person and approval.approved


def tell(model: Model) -> None:
    sys.stdout.write(f"{model.name}: {model.version} serves, the baseline of the run {model.run}\n")


def _judged(ledger: Ledger, name: str, dag_run: str | None) -> Judged:
    judged = history.find(ledger, name, dag_run)
    if judged is None:
        got = f"no run {dag_run} has judged it" if dag_run else "no run has judged it"
        remedy = "`sailplane status` lists the models that were rejected, with their runs."
        raise ModelError("deploy the baseline of", name, got=got, remedy=remedy)
    return judged


def _standing(ledger: Ledger, judged: Judged) -> Offer:
    offer, why = judged.evaluation.offer, withdrawn(ledger, judged)
    if offer is None or why:
        got = f"run {judged.dag_run} of {judged.dag}: {why}"
        raise ModelError("deploy the baseline of", judged.evaluation.model, got=got)
    return offer


def _is_interrupted(ledger: Ledger, offer: Offer, by: str) -> bool:
    """True if this person's deployment of the baseline was interrupted. Raises DeploymentError while another rollout is
    running: nothing is registered then."""
    name = offer.evaluation.model
    repository.refuse_while_active(ledger, name, by)
    entry = records.active(ledger, name)
    return entry is not None and (entry.subject.owner, entry.subject.version) == (by, offer.version)
