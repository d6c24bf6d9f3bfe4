"""What scripts/interop hf shows of training: an exported model in Hugging Face's Trainer, and fresh initial values."""

import torch
from transformers import Trainer, TrainingArguments

from served import expect

STEPS = 30
LENGTH = 64


def check_trainer(report, it, texts: list) -> None:
    """30 steps on a text, with gradient checkpointing, on a copy; the mean loss of the last five is lower."""
    ids = [id for text in texts[:200] for id in it.tokenizer(text, truncation=True).input_ids]
    rows = [ids[i : i + LENGTH] for i in range(0, len(ids) - LENGTH, LENGTH)]
    data = [{"input_ids": row, "labels": row, "attention_mask": [1] * LENGTH} for row in rows]
    model = it.open(it.path).train()
    settings = TrainingArguments(
        output_dir=str(it.folder / "trainer"),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        learning_rate=3e-3,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        gradient_checkpointing=True,
        seed=3,
    )
    trainer = Trainer(model=model, args=settings, train_dataset=data)
    trainer.log = lambda logs, *_: trainer.state.log_history.append(logs)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    expect(len(losses) == STEPS, f"{it.name}: Trainer: expected {STEPS} losses, got {len(losses)}.")
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    expect(last < first - 0.3, f"{it.name}: Trainer: loss {first:.3f} at first and {last:.3f} at the end.")
    model.eval()
    loss = model(torch.tensor(rows[:2]), labels=torch.tensor(rows[:2])).loss
    model.gradient_checkpointing_disable()
    model.train()
    plain = model(torch.tensor(rows[:2]), labels=torch.tensor(rows[:2])).loss
    expect(torch.allclose(loss, plain, atol=1e-5), f"{it.name}: loss {loss} in eval, {plain} in training.")
    report(it.name, f"Trainer, {STEPS} steps, with checkpointing", f"loss {first:.2f} to {last:.2f}")


def check_fresh(report, it, AutoConfig, AutoModelForCausalLM) -> None:
    """A model from the config alone has SPEC's initial values."""
    config = AutoConfig.from_pretrained(it.path, trust_remote_code=True)
    model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    for name, value in model.named_parameters():
        where = f"{it.name}: {name}: initial value"
        if name.endswith("loop_scale"):
            expect(bool((value == config.loop_scale_init).all()), where)
        elif name.endswith(("local_gate.bias", "global_gate.bias")):
            expect(bool((value == config.memory_gate_bias_init).all()), where)
        elif name.endswith(("local_gate.weight", "global_gate.weight")) or name.endswith(".bias"):
            expect(bool((value == 0).all()), where)
        elif name.endswith("norm.weight"):
            expect(bool((value == 1).all()), where)
        elif name in ("embedding.weight", "head.weight"):
            expect(abs(value.std().item() - 0.02) < 0.002, where)
        else:
            expect(bool(value.std() > 0) and bool(value.std() < 0.3), where)
    report(it.name, "from_config", "SPEC's initial values")
