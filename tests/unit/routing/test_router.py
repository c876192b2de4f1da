"""Routing as a pure function of what was asked, what there is, and what was heard."""

from datetime import UTC, datetime

import pytest

from gateway.routing.languages import primary
from gateway.routing.router import Router, Undecided
from gateway.routing.settings import RoutingSettings
from gateway.transcript import Ask, Decision
from model_store.catalog.records import ModelRecord
from model_store.errors import DomainUnknown, LanguageUnknown, ModelUnknown, NoSpeech


def model(name: str, language: str | None, domain: str | None = "general", kind: str = "asr") -> ModelRecord:
    return ModelRecord(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        language=language,
        domain=domain,
        stable=f"{len(name):064x}",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


LID = model("language-id", None, None, "lid")
ZH, YUE, EN, FINANCE = (
    model("zh-general", "zh"),
    model("yue-general", "yue"),
    model("en-general", "en"),
    model("zh-finance", "zh", "finance"),
)
ALL = (LID, ZH, YUE, EN, FINANCE)


def router(*models: ModelRecord, **settings: object) -> Router:
    return Router(models or ALL, RoutingSettings(**settings))  # type: ignore[arg-type]


def ask(**said: object) -> Ask:
    return Ask(request_id="r", **said)  # type: ignore[arg-type]


def decided(plan: Decision | Undecided) -> Decision:
    assert isinstance(plan, Decision)
    return plan


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh", "zh"), ("zh-CN", "zh"), ("cmn-Hans-CN", "zh"), ("ZH_hk", "yue"), ("yue-Hant-HK", "yue"), ("en-US", "en"),
     ("English", "en"), (" Cantonese ", "yue"), ("xx-YY", "xx")],
)  # fmt: skip
def test_primary_tags_as_callers_write_them_become_the_language(tag: str, language: str) -> None:
    assert primary(tag) == language


def test_plan_language_said_needs_no_evidence() -> None:
    decision = decided(router().plan(ask(language="zh-TW")))
    assert (decision.model, decision.language, decision.language_confidence) == ("zh-general", "zh", 1.0)
    assert "said" in decision.reason


def test_plan_domain_said_goes_to_its_model() -> None:
    assert decided(router().plan(ask(language="zh", domain="finance"))).model == "zh-finance"


def test_plan_nothing_said_must_be_heard_among_all_languages() -> None:
    plan = router().plan(ask())
    assert plan == Undecided(("en", "yue", "zh"), str(LID.stable), "general")


def test_plan_listed_languages_narrow_the_candidates() -> None:
    plan = router().plan(ask(languages=("zh-HK", "en", "yue")))
    assert isinstance(plan, Undecided)
    assert plan.candidates == ("yue", "en")


def test_plan_one_candidate_is_decided() -> None:
    assert decided(router().plan(ask(languages=("en",)))).model == "en-general"


@pytest.mark.parametrize("name", ["whisper-1", "auto", "gpt-4o-transcribe"])
def test_plan_alias_lets_the_gateway_choose(name: str) -> None:
    assert isinstance(router().plan(ask(model=name)), Undecided)


def test_plan_model_named_is_taken() -> None:
    decision = decided(router().plan(ask(model="zh-finance")))
    assert (decision.model, decision.domain, decision.version) == ("zh-finance", "finance", FINANCE.stable)


@pytest.mark.parametrize(
    ("said", "error", "param", "told"),
    [
        ({"language": "fr"}, LanguageUnknown, "language", "en, yue, zh"),
        ({"languages": ("zh", "fr")}, LanguageUnknown, "languages", "'fr'"),
        ({"domain": "law"}, DomainUnknown, "domain", "finance, general"),
        ({"language": "en", "domain": "finance"}, DomainUnknown, "domain", "general"),
        ({"model": "zh-legal"}, ModelUnknown, "model", "zh-finance"),
        ({"model": "language-id"}, ModelUnknown, "model", "zh-general"),
        ({"model": "zh-finance", "language": "en"}, LanguageUnknown, "language", "zh alone"),
        ({"model": "zh-finance", "domain": "general"}, DomainUnknown, "domain", "'finance' alone"),
    ],
)
def test_plan_unknown_is_refused_with_what_there_is(
    said: dict[str, object], error: type[Exception], param: str, told: str
) -> None:
    with pytest.raises(error, match=told) as refused:
        router().plan(ask(**said))
    assert refused.value.param == param  # type: ignore[attr-defined]


def test_plan_no_models_says_so() -> None:
    with pytest.raises(ModelUnknown, match="No model is registered"):
        router(LID).plan(ask())


def test_plan_without_classifier_takes_the_default_language_and_says_so() -> None:
    decision = decided(router(ZH, EN, default_language="zh").plan(ask()))
    assert (decision.model, decision.language_confidence) == ("zh-general", 0.0)
    assert "default" in decision.reason


def test_plan_without_classifier_and_default_asks_the_caller() -> None:
    with pytest.raises(LanguageUnknown, match="say `language`"):
        router(ZH, EN).plan(ask())


def test_settle_posteriors_are_compared_among_the_candidates_alone() -> None:
    plan = Undecided(("en", "yue"), "lid", "general")
    decision = router().settle(plan, {"zh": 0.6, "yue": 0.3, "en": 0.1, "other": 0.0})
    assert (decision.language, decision.language_confidence) == ("yue", 0.75)
    assert "uncertain" in decision.reason


def test_settle_domain_that_the_language_lacks_falls_back_and_says_so() -> None:
    plan = Undecided(("en", "zh"), "lid", "finance")
    decision = router().settle(plan, {"en": 0.99, "zh": 0.01, "other": 0.0})
    assert decision.model == "en-general"
    assert "no model for domain 'finance' in en" in decision.reason


def test_settle_no_language_is_no_speech() -> None:
    with pytest.raises(NoSpeech):
        router().settle(Undecided(("en", "zh"), "lid", "general"), {"en": 0.02, "zh": 0.02, "other": 0.96})
