"""Train LoRA on a causal language model, over all processes of a job, and fill its card.

    torchrun --nproc-per-node gpu train_lora.py --model FOLDER --data FILE.jsonl --output-dir FOLDER

Training continues from its newest checkpoint. MODEL is a folder or a Hub id, DATA a file of JSON
lines with a "text" in each. A file `_stop` in the output folder ends training at one of the next
steps, with a checkpoint; it is then renamed to `_stopped`.
"""

import argparse
from pathlib import Path

import torch
import torch.distributed as dist
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from autocard import AutoCardCallback


class StopWhenAsked(TrainerCallback):
    """Ends training when a file exists, in all processes at the same step, to avoid a deadlock."""

    def __init__(self, file, every_steps):
        """Check for *file* in the first process, every *every_steps* steps."""
        self.file, self.every_steps, self.stopped = file, every_steps, False

    def on_step_end(self, args, state, control, **_):
        """Ask the first process, and do as it says."""
        if state.global_step % self.every_steps or state.global_step >= state.max_steps:
            return
        asked = torch.tensor(
            int(state.is_world_process_zero and self.file.exists()), device=args.device
        )
        if dist.is_initialized():
            dist.broadcast(asked, 0)
        if asked.item():
            self.stopped = control.should_save = control.should_training_stop = True


def newest_checkpoint(folder):
    """Return the newest checkpoint that is whole; a job may be killed while it writes one."""
    whole = [
        file.parent
        for file in folder.glob("checkpoint-*/trainer_state.json")
        if any(file.parent.glob("*.safetensors"))
    ]
    return max(whole, key=lambda found: int(found.name.rpartition("-")[2]), default=None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output-dir", required=True, type=Path)
    parser.add_argument("--base-model", help="Hub id of the model, where --model is a folder")
    parser.add_argument("--max-steps", type=int, default=1000)
    parser.add_argument("--save-steps", type=int, default=100)
    parser.add_argument(
        "--look-steps", type=int, default=10, help="how often to look whether to stop"
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--lora-rank", type=int, default=16)
    given = parser.parse_args()

    args = TrainingArguments(
        str(given.output_dir),
        max_steps=given.max_steps,
        save_steps=given.save_steps,
        save_total_limit=2,
        logging_steps=10,
        per_device_train_batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        lr_scheduler_type="cosine",
        bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        report_to="none",
    )
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token

    def tokens(rows):
        return tokenizer(rows["text"], truncation=True, max_length=given.max_length)

    with args.main_process_first():  # the others of this node find what it has made
        data = load_dataset("json", data_files=given.data, split="train")
        data = data.map(tokens, batched=True, remove_columns=data.column_names)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype="auto")
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=given.lora_rank,
        lora_alpha=2 * given.lora_rank,
        target_modules="all-linear",
    )
    stop = StopWhenAsked(given.output_dir / "_stop", given.look_steps)
    trainer = Trainer(
        model=get_peft_model(model, lora),
        args=args,
        train_dataset=data,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        callbacks=[stop, AutoCardCallback(base_model=given.base_model)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(given.output_dir))
    if not stop.stopped:
        trainer.save_model()
    elif trainer.is_world_process_zero():
        stop.file.rename(stop.file.with_name("_stopped"))


if __name__ == "__main__":
    main()
