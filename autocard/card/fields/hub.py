"""What the Hub accepts in a card's front matter: licenses, pipeline tags, metrics.

The Hub refuses a whole push for a license or tag that is not on them, so what is not here is left
out. From huggingface.js (packages/tasks/src/pipelines.ts at fe42e68), hub-docs
(docs/hub/repositories-licenses.md at 242f4a1) and evaluate (the folders of metrics/ at a7dd338),
each of which is a page of the Hub.
"""

from __future__ import annotations

LICENSES = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m
    bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause
    bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0
    etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc
    h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
    openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl
    lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1
    llama3.2 llama3.3 llama4 grok2-community gemma unknown other
    """.split()  # noqa: SIM905 - 83 words are read more easily than 83 quoted ones
)
"""Ids of licenses."""

PIPELINE_TAGS = frozenset(
    """
    text-classification token-classification table-question-answering question-answering
    zero-shot-classification translation summarization feature-extraction text-generation
    fill-mask sentence-similarity text-to-speech text-to-audio automatic-speech-recognition
    audio-to-audio audio-classification audio-text-to-text voice-activity-detection
    depth-estimation image-classification object-detection image-segmentation text-to-image
    image-to-text image-to-image image-to-video unconditional-image-generation
    video-classification reinforcement-learning robotics tabular-classification
    tabular-regression tabular-to-text table-to-text multiple-choice text-ranking text-retrieval
    time-series-forecasting text-to-video image-text-to-text image-text-to-image
    image-text-to-video visual-question-answering document-question-answering
    zero-shot-image-classification graph-ml mask-generation zero-shot-object-detection
    text-to-3d image-to-3d image-feature-extraction video-text-to-text keypoint-detection
    visual-document-retrieval any-to-any video-to-video other
    """.split()  # noqa: SIM905 - the same
)
"""Tasks."""

METRICS = frozenset(
    """
    accuracy bertscore bleu bleurt brier_score cer character charcut_mt chrf code_eval comet
    competition_math confusion_matrix coval cuad exact_match f1 fever frugalscore glue
    google_bleu indic_glue mae mahalanobis mape mase matthews_correlation mauve mean_iou meteor
    mse nist_mt pearsonr perplexity poseval precision r_squared recall rl_reliability roc_auc
    rouge sacrebleu sari seqeval smape spearmanr squad squad_v2 super_glue ter trec_eval wer
    wiki_split xnli xtreme_s
    """.split()  # noqa: SIM905 - the same
)
"""Ids of metrics."""
