"""Copies of the standard form in other languages: recognized and filled without a label file."""

# ruff: noqa: RUF001 - full-width colons are what these languages write

from __future__ import annotations

import pytest

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.card.form.label_files import load

FACTS = {
    "base_model": Fact("[a/b](https://huggingface.co/a/b)"),
    "training_data": Fact("A data set, 32 rows"),
    "training_regime": Fact("fp32"),
    "training_hyperparameters": Fact("Seed: 3", "- Seed: 3"),
    "results": Fact("loss 0.5"),
    "hardware_type": Fact("one GPU"),
    "hours_used": Fact("3 h"),
    "cloud_region": Fact("France"),
    "co2_emitted": Fact("1.4 kg CO2eq"),
    "energy": Fact("2.1 kWh", "The energy was 2.1 kWh."),
    "model_specs": Fact("`Bert`"),
}

GERMAN = """# Modellkarte für Wetter

## Modelldetails

### Modellbeschreibung

Unser Wettermodell.

- **Entwickelt von:** Labor Eins
- **Modelltyp:** [Mehr Informationen erforderlich]
- **Sprache(n):** Deutsch
- **Lizenz:** [Mehr Informationen erforderlich]
- **Feinabgestimmt von Modell:** [Mehr Informationen erforderlich]

## Trainingsdetails

### Trainingsdaten

[Mehr Informationen erforderlich]

### Trainingsverfahren

#### Trainingshyperparameter

- **Trainingsregime:** (leer)

## Evaluierung

### Ergebnisse

[Mehr Informationen erforderlich]

## Umweltauswirkungen

- **Hardwaretyp:** [Mehr Informationen erforderlich]
- **Verwendete Stunden:** ____
- **Cloud-Anbieter:** keiner
- **Rechenregion:** [Mehr Informationen erforderlich]
- **CO2-Emissionen:** [Mehr Informationen erforderlich]

## Technische Spezifikationen

### Modellarchitektur und Ziel

[Mehr Informationen erforderlich]
"""

FRENCH = """# Carte du modèle météo

## Détails du modèle

- **Développé par :** Labo Un
- **Licence :** [Plus d'informations nécessaires]
- **Affiné à partir du modèle :** [Plus d'informations nécessaires]

## Détails de l'entraînement

### Données d'entraînement

[Plus d'informations nécessaires]

### Procédure d'entraînement

#### Hyperparamètres d'entraînement

- **Régime d'entraînement :** à compléter

## Évaluation

### Résultats

[Plus d'informations nécessaires]

## Impact environnemental

- **Type de matériel :** [Plus d'informations nécessaires]
- **Heures utilisées :** [Plus d'informations nécessaires]
- **Fournisseur cloud :** aucun
- **Région de calcul :** [Plus d'informations nécessaires]
- **Carbone émis :** [Plus d'informations nécessaires]

## Spécifications techniques

### Architecture du modèle et objectif

[Plus d'informations nécessaires]
"""

SPANISH = """# Ficha del modelo

## Detalles del modelo

- **Desarrollado por:** Laboratorio Uno
- **Licencia:** [Se necesita más información]
- **Ajustado a partir del modelo:** [Se necesita más información]

## Detalles del entrenamiento

### Datos de entrenamiento

[Se necesita más información]

### Procedimiento de entrenamiento

#### Hiperparámetros de entrenamiento

- **Régimen de entrenamiento:** por completar

## Evaluación

### Resultados

[Se necesita más información]

## Impacto ambiental

- **Tipo de hardware:** [Se necesita más información]
- **Horas utilizadas:** [Se necesita más información]
- **Proveedor de nube:** ninguno
- **Región de cómputo:** [Se necesita más información]
- **Carbono emitido:** [Se necesita más información]

## Especificaciones técnicas

### Arquitectura y objetivo del modelo

[Se necesita más información]
"""

CHINESE = """# 天气模型

## 模型详情

- **开发者:** 一号实验室
- **许可证:** [更多信息]
- **微调自模型:** [更多信息]

## 训练详情

### 训练数据

[更多信息]

### 训练过程

#### 训练超参数

- **训练方式:** 待补充

## 评估

### 结果

[更多信息]

## 环境影响

- **硬件类型：** [更多信息]
- **使用小时数：** [更多信息]
- **云服务提供商：** 无
- **计算区域：** [更多信息]
- **碳排放量：** [更多信息]

## 技术规格

### 模型架构和目标

[更多信息]
"""

JAPANESE = """# 天気モデル

## モデルの詳細

- **開発者:** 第一研究室
- **ライセンス:** [詳細情報が必要]
- **ファインチューニング元モデル:** [詳細情報が必要]

## 学習の詳細

### 学習データ

[詳細情報が必要]

### 学習手順

#### 学習ハイパーパラメータ

- **学習方式:** 未記入

## 評価

### 結果

[詳細情報が必要]

## 環境への影響

- **ハードウェアの種類:** [詳細情報が必要]
- **使用時間:** [詳細情報が必要]
- **クラウドプロバイダー:** なし
- **計算リージョン:** [詳細情報が必要]
- **炭素排出量:** [詳細情報が必要]

## 技術仕様

### モデルのアーキテクチャと目的

[詳細情報が必要]
"""

CARDS = {
    "German": (GERMAN, "Labor Eins", "keiner"),
    "French": (FRENCH, "Labo Un", "aucun"),
    "Spanish": (SPANISH, "Laboratorio Uno", "ninguno"),
    "Chinese": (CHINESE, "一号实验室", "无"),
    "Japanese": (JAPANESE, "第一研究室", "なし"),
}
ENGLISH = (
    "Environmental Impact",
    "Training Details",
    "Training Procedure",
    "Evaluation\n",
    "Technical Specifications",
    "Results",
)


@pytest.mark.parametrize("language", CARDS)
def test_each_fact_stands_once_and_no_section_is_added_in_english(language: str) -> None:
    card, _, _ = CARDS[language]

    after = fill(card, FACTS, {}, remembered={}).text

    for fact in FACTS.values():
        assert after.count(fact.body()) == 1, fact
    assert [title for title in ENGLISH if f"# {title}" in after] == []


@pytest.mark.parametrize("language", CARDS)
def test_headings_labels_and_a_persons_words_stay(language: str) -> None:
    card, developer, provider = CARDS[language]

    after = fill(card, FACTS, {}, remembered={}).text

    headings = [line for line in card.split("\n") if line.startswith("#")]
    assert [line for line in after.split("\n") if line.startswith("#")] == headings
    assert developer in after
    assert any(line.startswith("- **") and line.endswith(provider) for line in after.split("\n"))


@pytest.mark.parametrize("language", CARDS)
def test_only_what_people_must_write_stays_empty(language: str) -> None:
    card, _, _ = CARDS[language]
    placeholders = load().placeholders

    after = fill(card, FACTS, {}, remembered={}).text

    values = [line.rpartition("** ")[2].lower() for line in after.split("\n")]
    left = [value for value in values if value in placeholders]
    assert len(left) == (2 if language == "German" else 1)


@pytest.mark.parametrize("language", CARDS)
def test_a_second_fill_changes_nothing(language: str) -> None:
    first = fill(CARDS[language][0], FACTS, {}, remembered={})

    assert fill(first.text, FACTS, {}, remembered=first.slots).text == first.text


def test_a_plain_line_with_a_full_width_colon_is_filled() -> None:
    card = "# M\n\n## 环境影响\n\n- 使用小时数：待补充\n"

    assert "- 使用小时数： 3 h\n" in fill(card, FACTS, {}, remembered={}).text
