"""The shape of what people type about articles; what it means is decided in the services."""

import re
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from incidents.models import Article
from incidents.services.knowledge import LONGEST, Draft

SEPARATORS = re.compile(r"[,，、;；\n]+")


class NamesField(forms.CharField):
    """Tags or products in one line, by commas of either language."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=400, **options)

    def clean(self, value: Any) -> Any:
        return [name for name in SEPARATORS.split(super().clean(value)) if name.strip()]


class ArticleForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=200, widget=forms.TextInput(attrs={"autofocus": True}))
    body = forms.CharField(
        label=_("Text"),
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 18, "class": "font-monospace"}),
        help_text=_("Markdown: ## heading, - list, **bold**, `command`, ``` block, | table |."),
    )
    products = NamesField(label=_("Products"), help_text=_("nginx, mysql, ecs … By them incidents find the article."))
    tags = NamesField(label=_("Tags"), help_text=_("With commas between them."))
    visibility = forms.ChoiceField(
        label=_("Who reads it"), choices=Article.Visibility.choices, widget=forms.RadioSelect, initial="internal"
    )
    note = forms.CharField(label=_("What changed?"), max_length=200, required=False)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, customers: QuerySet[Customer], is_new: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["customer"] = forms.ModelChoiceField(
            customers, label=_("About"), required=False, empty_label=_("Every customer")
        )
        if is_new:
            del self.fields["note"]
        self.order_fields(["title", "body", "products", "tags", "visibility", "customer", "note"])

    def draft(self) -> Draft:
        said = self.cleaned_data
        names = ("title", "body", "visibility", "customer", "tags", "products")
        return Draft(**{name: said[name] for name in names})


def saying(text: Article | Draft) -> dict[str, object]:
    """What a form begins with that changes an article, or continues a draft."""
    return {
        "title": text.title,
        "body": text.body,
        "tags": ", ".join(text.tags),
        "products": ", ".join(text.products),
        "visibility": text.visibility,
        "customer": text.customer,
        "version": text.version if isinstance(text, Article) else None,
    }


class RetireForm(forms.Form):
    reason = forms.CharField(
        label=_("Why does it no longer hold?"), max_length=300, widget=forms.TextInput(attrs={"autofocus": True})
    )
