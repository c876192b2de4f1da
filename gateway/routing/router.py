"""Which version answers a request: (ask, what there is, evidence) -> decision. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gateway.routing.languages import primary
from gateway.routing.settings import RoutingSettings
from gateway.transcript import AUTO, Ask, Decision
from model_store.catalog.records import ModelRecord
from model_store.errors import DomainUnknown, LanguageUnknown, ModelUnknown, NoSpeech

NO_LANGUAGE = "other"


@dataclass(frozen=True)
class Undecided:
    """The language must be heard: among `candidates`, by the version `classifier`."""

    candidates: tuple[str, ...]
    classifier: str
    domain: str


@dataclass(frozen=True)
class Router:
    """Decides over one snapshot of the catalogue's models."""

    models: Sequence[ModelRecord]
    settings: RoutingSettings

    def plan(self, ask: Ask) -> Decision | Undecided:
        """What can be decided before the audio is heard; raises ModelUnknown, LanguageUnknown or DomainUnknown."""
        if ask.model != AUTO and ask.model not in self.settings.aliases:
            return self._named(ask)
        candidates = self._candidates(ask)
        domain = ask.domain or self.settings.default_domain
        self._check_domain(domain, candidates, said=ask.domain is not None)
        if len(candidates) == 1:
            reason = "said by the caller" if ask.language or ask.languages else "the only language there is"
            return self._decide(candidates[0], domain, 1.0, f"language {reason}")
        classifier = next(self._serving("lid"), None)
        if classifier is not None and classifier.stable is not None:
            return Undecided(candidates, classifier.stable, domain)
        return self._default(candidates, domain)

    def settle(self, undecided: Undecided, posteriors: Mapping[str, float]) -> Decision:
        """The decision once the language was heard; raises NoSpeech when it was none.

        The posteriors of the candidates are made to sum to 1: nothing else can be the answer.
        """
        if posteriors.get(NO_LANGUAGE, 0.0) >= self.settings.no_speech_posterior:
            raise NoSpeech("No language was heard in this recording. Say `language` if it does hold speech.")
        heard = {language: posteriors.get(language, 0.0) for language in undecided.candidates}
        best = max(heard, key=lambda language: heard[language])
        total = sum(heard.values())
        confidence = heard[best] / total if total > 0 else 1 / len(heard)
        certainty = "heard" if confidence >= self.settings.confident_posterior else "heard, uncertain"
        return self._decide(best, undecided.domain, confidence, f"language {certainty}")

    def _serving(self, kind: str) -> Iterator[ModelRecord]:
        return (model for model in self.models if model.kind == kind and model.stable is not None)

    @cached_property
    def _recognisers(self) -> tuple[ModelRecord, ...]:
        return tuple(self._serving("asr"))

    @cached_property
    def _languages(self) -> tuple[str, ...]:
        return tuple(sorted({model.language for model in self._recognisers if model.language}))

    def _candidates(self, ask: Ask) -> tuple[str, ...]:
        """The languages that the answer may be in: the one said, else those listed, else all."""
        if not self._languages:
            raise ModelUnknown("No model is registered yet. `voxgate models list` shows what there is.", param="model")
        said = (ask.language,) if ask.language else ask.languages
        chosen = tuple(dict.fromkeys(self._known(tag, "language" if ask.language else "languages") for tag in said))
        return chosen or self._languages

    def _known(self, tag: str, param: str) -> str:
        language = primary(tag)
        if language not in self._languages:
            told = ", ".join(self._languages)
            message = f"No model speaks {tag!r}. There is: {told}."
            raise LanguageUnknown(message, param=param, available=list(self._languages))
        return language

    def _domains(self, languages: Sequence[str]) -> list[str]:
        return sorted({m.domain for m in self._recognisers if m.domain and m.language in languages})

    def _check_domain(self, domain: str, languages: Sequence[str], *, said: bool) -> None:
        domains = self._domains(languages)
        if said and domain not in domains:
            spoken, told = ", ".join(languages), ", ".join(domains)
            message = f"No model for {spoken} knows {domain!r}. There is: {told}."
            raise DomainUnknown(message, param="domain", available=domains)

    def _default(self, candidates: Sequence[str], domain: str) -> Decision:
        default = primary(self.settings.default_language) if self.settings.default_language else None
        if default in candidates:
            return self._decide(str(default), domain, 0.0, "default language: no classifier is registered")
        told = ", ".join(candidates)
        raise LanguageUnknown(f"No classifier is registered, so say `language`: one of {told}.", param="language")

    def _named(self, ask: Ask) -> Decision:
        model = next((model for model in self._recognisers if model.name == ask.model), None)
        if model is None:
            names = [AUTO, *(model.name for model in self._recognisers)]
            message = f"There is no model {ask.model!r}. There is: {', '.join(names)}."
            raise ModelUnknown(message, param="model", available=names)
        said = {self._known(tag, "language") for tag in ((ask.language,) if ask.language else ask.languages)}
        if said and model.language not in said:
            raise LanguageUnknown(f"Model {model.name} speaks {model.language} alone.", param="language")
        if ask.domain not in (None, model.domain):
            raise DomainUnknown(f"Model {model.name} is for {model.domain!r} alone.", param="domain")
        return _decision(model, 1.0, "model named by the caller")

    def _decide(self, language: str, domain: str, confidence: float, reason: str) -> Decision:
        """The model of that language and domain, else the language's default domain, said so in the reason."""
        spoken = [model for model in self._recognisers if model.language == language]
        for model in spoken:
            if model.domain == domain:
                return _decision(model, confidence, reason)
        fallback = next((m for m in spoken if m.domain == self.settings.default_domain), spoken[0])
        return _decision(fallback, confidence, f"{reason}; no model for domain {domain!r} in {language}")


def _decision(model: ModelRecord, confidence: float, reason: str) -> Decision:
    return Decision(
        model=model.name,
        version=str(model.stable),
        language=str(model.language),
        language_confidence=round(confidence, 4),
        domain=str(model.domain),
        reason=reason,
    )
