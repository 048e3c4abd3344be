"""The table of all pieces of work, in the order in which they run in their stages.

One rule: any work of a session that may fail is listed here. The runner goes through this table,
and so does the test that makes each piece raise, exit and hang.
"""

from __future__ import annotations

from autocard.capture.data import data
from autocard.capture.environment import code, hardware, launcher, software
from autocard.capture.model import adapter, model
from autocard.capture.training import precision, training
from autocard.runtime import deadlines
from autocard.runtime.pieces import (
    announcing,
    beginning,
    ending,
    measuring,
    preparing,
    working_file,
    writing,
)
from autocard.runtime.pieces.piece import (
    CODE,
    DRIVER,
    FILES,
    HUB,
    LEG,
    LOG,
    PROCESSES,
    PROGRAMS,
    TENSORS,
    TERMINAL,
    WORKER,
    Piece,
    Stage,
)
from autocard.runtime.run_state import Event, RunState


def _labels_unchecked(run: RunState, event: Event) -> bool:
    return not run.labels_checked and run.writes(event.observed)


def _writes(run: RunState, event: Event) -> bool:
    return run.writes(event.observed)


def _capture(key: str, of_part: beginning.Capture, may_hang: str = "") -> Piece:
    """Return a capture's piece; captures run when training begins, before anything changes."""
    return Piece(
        key,
        Stage.CAPTURE,
        beginning.capture(of_part),
        fills=f"parts.{key}",
        fact=key,
        may_hang=may_hang,
    )


_PREPARED = (
    Piece("labels", Stage.LABELS, preparing.labels, may_hang=FILES, when=_labels_unchecked),
    Piece(
        "parameter count",
        Stage.MODEL_MADE,
        preparing.counted,
        fills="run.counted",
        fact="model.parameters_total",
        may_hang=CODE,
    ),
    Piece("fresh weights", Stage.MODEL_MADE, preparing.fresh, fills="run.fresh", may_hang=TENSORS),
    Piece("withheld names", Stage.NAMES, preparing.names, may_hang=FILES),
    Piece("wrapped methods", Stage.HOLD, preparing.hold, may_hang=CODE),
    Piece(
        "team",
        Stage.MEET,
        measuring.team,
        fills="event.met",
        may_hang=PROCESSES,
        asks_s=deadlines.EVENT_S,
    ),
    Piece("job id", Stage.METER, measuring.job, may_hang=FILES),
    Piece(
        "worker",
        Stage.METER,
        measuring.whole_meter,
        fills="run.meter",
        fact=LEG,
        may_hang=WORKER,
        when=measuring.wants_energy,
    ),
)

_BEGIN = (
    Piece(
        "counters at the begin",
        Stage.MARK,
        measuring.mark,
        fills="event.mark",
        may_hang=DRIVER,
        when=measuring.wants_energy,
    ),
    Piece("broken off", Stage.BROKEN_OFF, measuring.broken_off),
    Piece("places of files", Stage.PLACES, beginning.places, may_hang=FILES),
    Piece("search", Stage.SEARCH, beginning.searches, may_hang=FILES),
    Piece("earlier legs", Stage.PAST, beginning.past, fills="event.another_run", may_hang=FILES),
    Piece(
        "weights of the checkpoint",
        Stage.TRAVELLED,
        beginning.travelled,
        fills="facts.travelled",
    ),
    Piece("batches of earlier legs", Stage.TRAVELLED, beginning.batches),
    Piece("settings of earlier legs", Stage.TRAVELLED, beginning.settings),
    Piece(
        "trainer's state",
        Stage.TRAVELLED,
        beginning.pack,
    ),
    Piece("weights before", Stage.LEG, beginning.start, fills="event.start", may_hang=TENSORS),
    Piece(
        "name of the leg",
        Stage.LEG,
        measuring.leg_id,
        fills="event.leg_id",
        may_hang=PROCESSES,
        asks_s=deadlines.EVENT_S,
    ),
    Piece("nodes", Stage.LEG, measuring.nodes, fills="event.nodes"),
    Piece(
        "shares of the processes",
        Stage.LEG,
        measuring.share_out,
        may_hang=PROCESSES,
        asks_s=deadlines.EVENT_S,
    ),
    Piece(
        "worker of a part",
        Stage.LEG,
        measuring.part_meter,
        fills="run.meter",
        fact=LEG,
        may_hang=WORKER,
        when=measuring.needs_part_meter,
    ),
    Piece("measured devices", Stage.LEG, measuring.use, when=measuring.has_meter),
    Piece(
        "begin of the leg",
        Stage.LEG,
        measuring.begin_leg,
        fact=LEG,
        may_hang=WORKER,
        when=measuring.measures_leg,
    ),
    Piece("own loss", Stage.TRAINER, beginning.own_loss, fills="event.own_loss", may_hang=CODE),
    Piece("learning rate", Stage.CAPTURE, beginning.learning_rate),
    Piece(
        "names of rewards", Stage.CAPTURE, beginning.renamed, fills="facts.renamed", may_hang=CODE
    ),
    _capture("model", model.capture, FILES),
    _capture("adapters", adapter.capture, FILES),
    _capture("precision", precision.capture, CODE),
    _capture("training", training.capture, CODE),
    _capture("data", data.capture, CODE),
    _capture("hardware", hardware.capture, DRIVER),
    _capture("software", software.capture, FILES),
    _capture("code", code.capture, PROGRAMS),
    _capture("job", launcher.capture, PROGRAMS),
    Piece("batch", Stage.CAPTURE, beginning.batch, may_hang=CODE),
    Piece("adapters in use", Stage.BEGUN, beginning.adapters_in_use, may_hang=CODE),
    Piece("base weights", Stage.REMEMBER, beginning.base, may_hang=TENSORS),
    Piece(
        "weights under adapters",
        Stage.REMEMBER,
        beginning.under_adapters,
        fills="facts.under_adapters",
        may_hang=TENSORS,
    ),
    Piece("card before", Stage.CARD_BEFORE, beginning.card_before, may_hang=FILES),
    Piece(
        "line at the begin",
        Stage.BEGIN_LINE,
        announcing.begin,
        may_hang=TERMINAL,
        asks_s=deadlines.EVENT_S,
        when=announcing.announces_begin,
    ),
    Piece(
        "working file of the run",
        Stage.WORKING_FILE,
        working_file.write,
        may_hang=FILES,
        when=working_file.has_record,
    ),
)

_TRAINING = (
    Piece("progress", Stage.PROGRESS, measuring.progress, may_hang=WORKER),
    Piece(
        "weights of the last step",
        Stage.LAST_STEP,
        ending.weights_of_last_step,
        may_hang=TENSORS,
    ),
    Piece(
        "weights evaluated",
        Stage.EVALUATED,
        ending.weights_evaluated,
        fills="event.of_others",
        may_hang=TENSORS,
    ),
    Piece(
        "evaluation data",
        Stage.EVALUATED,
        ending.evaluation_set,
        fact="data.eval",
        may_hang=CODE,
        when=ending.of_trained_weights,
    ),
    Piece(
        "weights predicted with",
        Stage.PREDICTED,
        ending.weights_predicted,
        fills="event.of_others",
        may_hang=TENSORS,
    ),
    Piece(
        "prediction data",
        Stage.PREDICTED,
        ending.prediction_set,
        fact="data.predict",
        may_hang=CODE,
        when=ending.of_trained_weights,
    ),
    Piece(
        "energy of an evaluation",
        Stage.APART,
        measuring.after_training,
        fills="event.joules",
        may_hang=WORKER,
        when=measuring.measured_after,
    ),
    Piece(
        "evaluation of other processes",
        Stage.APART,
        measuring.joules_of_others,
        fills="event.joules_of_others",
        may_hang=PROCESSES,
        asks_s=deadlines.EVALUATION_S,
    ),
    Piece(
        "reports after training",
        Stage.AGAIN,
        measuring.reports_again,
        may_hang=PROCESSES,
        asks_s=deadlines.EVALUATION_S,
    ),
)

_END = (
    Piece("cut off", Stage.CUT_OFF, measuring.cut_off),
    Piece(
        "counters at the end",
        Stage.STOP,
        measuring.stop,
        may_hang=DRIVER,
        when=measuring.has_meter,
    ),
    Piece(
        "late name of the leg",
        Stage.STOP,
        measuring.late_name,
        may_hang=PROCESSES,
        asks_s=deadlines.LEAST_S,
    ),
    Piece(
        "end of the leg",
        Stage.STOP,
        measuring.end_leg,
        fills="event.measured",
        fact=LEG,
        may_hang=WORKER,
        when=measuring.has_meter,
    ),
    Piece(
        "training at its end",
        Stage.STEPS_DONE,
        ending.training,
        fills="parts.training",
        fact="training",
        adds_gaps=True,
        may_hang=CODE,
        when=ending.has_training,
    ),
    Piece("trained parameters", Stage.STEPS_DONE, ending.trained_parameters, may_hang=CODE),
    Piece(
        "stop reason",
        Stage.STEPS_DONE,
        ending.stop_reason,
        fills="facts.stop_reason",
        may_hang=CODE,
    ),
    Piece("trained weights", Stage.STEPS_DONE, ending.trained_weights, may_hang=TENSORS),
    Piece(
        "figures of earlier legs",
        Stage.EARLIER,
        measuring.earlier,
        may_hang=FILES,
        when=_writes,
    ),
    Piece("ledger", Stage.LEDGER, measuring.ledger, may_hang=FILES, when=measuring.measures),
    Piece(
        "working files of the node",
        Stage.CLEARED,
        measuring.clear_node,
        may_hang=FILES,
        when=measuring.measures,
    ),
    Piece("fingerprint", Stage.REPORT, ending.fingerprint, may_hang=TENSORS),
    Piece(
        "report",
        Stage.REPORT,
        measuring.report,
        may_hang=PROCESSES,
        asks_s=deadlines.EVENT_S,
    ),
    Piece("turn", Stage.TURN, measuring.turn, fills="event.release", may_hang=FILES),
    Piece(
        "reports",
        Stage.REPORTS,
        measuring.reports,
        may_hang=PROCESSES,
        asks_s=deadlines.REPORTS_S,
    ),
)

_RECORD = (
    Piece(
        "evaluation",
        Stage.RESULTS,
        ending.evaluation,
        fills="parts.evaluation",
        fact="evaluation",
        may_hang=LOG,
    ),
    Piece("time", Stage.RESULTS, ending.times, fills="parts.times", fact="time", may_hang=LOG),
    Piece(
        "peaks of memory",
        Stage.RESULTS,
        ending.peaks,
        fills="parts.peaks",
        fact="hardware.peak_memory_bytes",
        may_hang=DRIVER,
    ),
    Piece(
        "saved bytes",
        Stage.SAVED,
        ending.saved_bytes,
        fills="parts.saved",
        fact="model.saved_bytes",
        may_hang=FILES,
    ),
    Piece(
        "saved format",
        Stage.SAVED,
        ending.saved_dtype,
        fills="parts.dtype",
        fact="model.saved_dtype",
        may_hang=FILES,
    ),
    Piece(
        "saved files",
        Stage.SAVED,
        ending.saved_files,
        fills="parts.files",
        fact="model.saved_files",
        may_hang=FILES,
    ),
    Piece(
        "checkpoint bytes",
        Stage.SAVED,
        ending.checkpoint_bytes,
        fills="parts.checkpoint",
        fact="model.checkpoint_bytes",
        may_hang=FILES,
    ),
    Piece(
        "checkpoint state",
        Stage.SAVED,
        ending.checkpoint_state,
        fills="parts.checkpoint_state",
        fact="model.checkpoint_has_optimizer",
        may_hang=FILES,
    ),
    Piece("base saved alone", Stage.SAVED, ending.leave_out_bare_base, may_hang=TENSORS),
    Piece(
        "all nodes",
        Stage.ALL_NODES,
        ending.of_all_nodes,
        fills="event.of_all_nodes",
        may_hang=DRIVER,
    ),
    Piece(
        "pictures",
        Stage.PICTURES,
        writing.pictures,
        fills="parts.pictures",
        fact="pictures",
        may_hang=FILES,
        when=writing.wants_plots,
    ),
    Piece(
        "earlier record",
        Stage.RECORD,
        writing.earlier_record,
        fills="event.earlier_record",
        may_hang=FILES,
    ),
    Piece("legs", Stage.RECORD, writing.legs, fills="event.legs"),
    Piece(
        "epochs",
        Stage.RECORD,
        writing.epochs,
        fills="event.epochs",
        fact="run.epochs",
        may_hang=CODE,
        when=writing.has_legs,
    ),
    Piece(
        "best weights",
        Stage.RECORD,
        writing.best_evaluation,
        fills="event.evaluation",
        fact="evaluation.best.loaded",
        may_hang=TENSORS,
        when=writing.has_legs,
    ),
    Piece(
        "record",
        Stage.RECORD,
        writing.record,
        fills="event.record",
        when=writing.has_legs,
    ),
    Piece(
        "earlier record so far",
        Stage.RECORD_SO_FAR,
        writing.earlier_record,
        fills="event.earlier_record",
        may_hang=FILES,
    ),
    Piece(
        "legs so far",
        Stage.RECORD_SO_FAR,
        writing.legs_so_far,
        fills="event.legs",
        may_hang=FILES,
    ),
    Piece(
        "epochs so far",
        Stage.RECORD_SO_FAR,
        writing.epochs,
        fills="event.epochs",
        fact="run.epochs",
        may_hang=CODE,
    ),
    Piece(
        "evaluation so far",
        Stage.RECORD_SO_FAR,
        writing.evaluation_so_far,
        fills="event.evaluation",
        fact="evaluation",
        may_hang=LOG,
    ),
    Piece("record so far", Stage.RECORD_SO_FAR, writing.record_so_far, fills="event.record"),
    Piece(
        "model saved elsewhere",
        Stage.SAVED_ELSEWHERE,
        writing.saved_elsewhere,
        fills="event.record",
        may_hang=FILES,
        when=writing.is_saved_elsewhere,
    ),
    Piece(
        "card",
        Stage.CARD,
        writing.card,
        fills="event.written",
        may_hang=FILES,
        when=writing.has_record,
    ),
    Piece(
        "record kept elsewhere",
        Stage.CARD,
        writing.keep_elsewhere,
        may_hang=FILES,
        when=writing.is_not_written,
    ),
    Piece(
        "working file removed",
        Stage.CARD,
        working_file.remove,
        may_hang=FILES,
        when=working_file.is_over,
    ),
    Piece(
        "line at the end",
        Stage.END_LINE,
        announcing.end,
        may_hang=TERMINAL,
        asks_s=deadlines.EVENT_S,
        when=announcing.announces_end,
    ),
    Piece("card before an upload", Stage.PUSH, writing.push, may_hang=HUB),
)

_LATE = (
    Piece(
        "late figures",
        Stage.LATE,
        measuring.late_figures,
        fills="event.late_figures",
        may_hang=WORKER,
    ),
    Piece(
        "late figures of other processes",
        Stage.LATE_ELSEWHERE,
        measuring.late_elsewhere,
        fills="event.late_elsewhere",
        may_hang=FILES,
    ),
    Piece("ledger of a late leg", Stage.LATE_LEG, measuring.ledger, may_hang=FILES),
    Piece("newest record", Stage.NEWEST, writing.newest, fills="event.newest", may_hang=FILES),
    Piece(
        "line with late figures",
        Stage.LATE_LINE,
        announcing.late,
        may_hang=TERMINAL,
        asks_s=deadlines.EVENT_S,
        when=announcing.has_news,
    ),
)

PIECES = (*_PREPARED, *_BEGIN, *_TRAINING, *_END, *_RECORD, *_LATE)
