"""The REST API of the knowledge base: find and read what this person may read."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import mixins, serializers

from accounts.api import TenantViewSet
from incidents.models import Article, ArticleQuerySet


class ArticleFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="by_words", help_text="All of these words; when nothing has all, some.")
    product = django_filters.CharFilter(field_name="products", lookup_expr="contains")
    tag = django_filters.CharFilter(field_name="tags", lookup_expr="contains")
    state = django_filters.MultipleChoiceFilter(choices=Article.State.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")

    def by_words(self, rows: ArticleQuerySet, _name: str, value: str) -> ArticleQuerySet:
        return rows.searched(value[:100])


class ArticleSerializer(serializers.ModelSerializer[Article]):
    number = serializers.CharField(read_only=True)
    tags: Any = serializers.ListField(child=serializers.CharField(), read_only=True)
    products: Any = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Article
        fields = (
            "id", "number", "customer", "title", "body", "tags", "products", "visibility", "state", "changed_at",
            "published_at", "helpful", "unhelpful", "version",
        )  # fmt: skip
        read_only_fields = fields


class ArticleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Article]):
    """Articles of the knowledge base; `body` is markdown."""

    model = Article
    serializer_class = ArticleSerializer
    filterset_class = ArticleFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Article]:
        rows: QuerySet[Article] = Article.objects.defer("search")
        return rows
