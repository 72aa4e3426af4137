"""What is printed at the end: a line for each section, and the figures in short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from statistics import median
from typing import Any

from benchmarks.gpu_check.throughput import OURS, SMALL, WIDE, case_name
from benchmarks.programs import aligned
from benchmarks.report import short_rate
from benchmarks.work import Work

Results = Mapping[str, Any]


def summary_lines(sections: Mapping[str, Any]) -> list[str]:
    """Return everything that is printed at the end."""
    lines = [
        "",
        "sections",
        *aligned(("name", "status", "seconds"), map(_status, *zip(*sections.items(), strict=True))),
    ]
    lines += [f"  {name}: {entry['reason']}" for name, entry in sections.items() if entry.get("reason")]
    for title, part in _PARTS.items():
        if body := list(_tolerant(part, sections)):
            lines += ["", title, *body]
    return lines


def _status(name: str, entry: Results) -> tuple[str, str, str]:
    return name, str(entry["status"]), f"{entry['elapsed_s']:.1f}"


def _tolerant(part: Callable[[Mapping[str, Any]], Iterator[str]], sections: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a part; of results that are not complete, as many as there are."""
    try:
        yield from part(sections)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        yield f"(incomplete: {type(error).__name__} {error})"


def results_of(sections: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the results of a section that did not fail, by name; none where it did not run."""
    found = sections.get(name, {}).get("results", {})
    return {key: value for key, value in found.items() if not _is_bad(value)}


def _is_bad(value: Any) -> bool:
    return isinstance(value, Mapping) and (
        ("failed" in value and isinstance(value["failed"], str)) or "skipped" in value
    )


def _facts(sections: Mapping[str, Any]) -> Iterator[str]:
    for name, result in results_of(sections, "graph_gemm").items():
        yield f"captured product {name}: relative error {max(result['relative_errors']):.1e}"
    for result in results_of(sections, "graph_kernels").values():
        ready_s = result["compile_and_load_s"]
        yield f"captured Numba kernels: {result['nodes']} nodes, compiled and loaded in {ready_s:.2f} s"
    for name, result in results_of(sections, "launch_cost").items():
        cost = result.get("us_per_node", result.get("us_per_kernel"))
        yield f"{name}: {cost:.2f} us each"
    for name, result in results_of(sections, "grid_barrier").items():
        yield f"{name}: {result['median_us_per_barrier']:.2f} us a barrier"
    for name, result in results_of(sections, "copy_bandwidth").items():
        if "bytes_per_s" in result:
            yield f"{name}: {result['bytes_per_s'] / 1e9:.0f} GB/s"


def _bandwidth(sections: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (name, f"{r['bytes_per_s'] / 1e9:.0f}", f"{r['of_copy']:.0%}", f"{r['median_us']:.0f}")
        for name, r in results_of(sections, "kernel_bandwidth").items()
        if isinstance(r, Mapping) and "of_copy" in r
    ]
    if rows:
        yield from aligned(("kernel", "GB/s", "of copy", "us"), rows)


def _gemm(sections: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (name, f"{r['flops_per_s'] / 1e12:.1f}", f"{r['median_us']:.1f}")
        for name, r in results_of(sections, "gemm_rate").items()
    ]
    if rows:
        yield from aligned(("products", "TFLOP/s", "us"), rows)


def _throughput(sections: Mapping[str, Any]) -> Iterator[str]:
    for name, case in results_of(sections, "throughput").items():
        yield f"{name}{' (losses DIFFER)' if case['disagreeing'] else ''}"
        ours = case["results"].get(OURS)
        for contender, result in case["results"].items():
            yield f"  {_contender_line(contender, result, ours)}"
        for contender, reason in case["failed"].items():
            yield f"  {contender:18s} {reason[:90]}"


def _contender_line(name: str, result: Results, ours: Results | None) -> str:
    us, low, high = result["us_per_step"]
    times = "" if ours is None else f"  accelnn is {median(ratios(ours, result)):6.2f}"
    rate = short_rate(result["samples_per_s"][0])
    return f"{name:18s} {us:9.1f} us ({low:.1f}..{high:.1f}) {rate:>8s} samples/s{times}"


def ratios(ours: Results, other: Results) -> list[float]:
    """Return how many times as fast ours was, round by round."""
    return [theirs / mine for mine, theirs in zip(ours["us_of_rounds"], other["us_of_rounds"], strict=False)]


def _dense_layers(sections: Mapping[str, Any]) -> Iterator[str]:
    for name, r in results_of(sections, "dense_layers").items():
        forms = (f"{form} {r[form]['us_per_step'][0]:.1f} us" for form in ("persistent", "fused", "products"))
        times = f"{r['fused_over_persistent']:.2f} and {r['products_over_fused']:.2f} times"
        yield f"{name}: {', '.join(forms)}: {times}, up to {r['largest_multiplications']:,} multiplications"


def _anatomy(sections: Mapping[str, Any]) -> Iterator[str]:
    for name, r in results_of(sections, "step_anatomy").items():
        if name.startswith("step "):
            yield f"{name}: {r['us_per_step'][0]:.1f} us, {r['nodes_of_a_step']} nodes{_kernels_of_a_step(r)}"
        else:
            times = {device: median(r[key]) for device, key in (("CUDA", "cuda_s"), ("CPU", "cpu_s")) if key in r}
            yield f"{name}: " + ", ".join(f"{1e3 * seconds:.2f} ms on {device}" for device, seconds in times.items())


def _phases(sections: Mapping[str, Any]) -> Iterator[str]:
    for name, r in results_of(sections, "persistent_phases").items():
        yield f"{name}: " + ", ".join(f"{part} {own['us_per_step'][0]:.1f} us" for part, own in r.items())


def _kernels_of_a_step(result: Results) -> str:
    if "gap_us_per_node" not in result:
        return ""
    busy, gap = result["kernel_us_per_step"], result["gap_us_per_node"]
    return f", {result['kernels_of_a_step']:.1f} kernels of {busy:.1f} us in all, gap {gap:.2f} us a node"


def _targets(sections: Mapping[str, Any]) -> Iterator[str]:
    cases = results_of(sections, "throughput")
    for (rival, wanted), batch in (*product(_SMALL_BATCHES, (10, 32, 128)), *product(_LARGE_BATCHES, (16384,))):
        results = cases.get(case_name(SMALL, batch, "float32"), {}).get("results", {})
        if OURS in results and rival in results:
            got = median(ratios(results[OURS], results[rival]))
            yield f"{_verdict(got >= wanted)} {got:.2f} times as fast as {rival} at batch {batch}, wanted {wanted:g}"
    yield from _epoch_target(sections)
    yield from _bandwidth_target(sections)
    yield from _rate_target(sections)


_SMALL_BATCHES = (("torch_cuda", 10.0), ("torch_cuda_graph", 3.0), ("jax_scan_cuda", 3.0))
_LARGE_BATCHES = (("torch_cuda_graph", 1.2), ("jax_scan_cuda", 1.2))
"""Peers, and how many times as fast accelnn wants to be."""


def _verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED "


def _epoch_target(sections: Mapping[str, Any]) -> Iterator[str]:
    epoch = results_of(sections, "step_anatomy").get("epoch 784-128-64-10 batch 128", {})
    if "cuda_s" in epoch:
        got = 1e3 * median(epoch["cuda_s"])
        yield f"{_verdict(got < 5)} {got:.2f} ms an epoch at batch 128, wanted < 5"


def _bandwidth_target(sections: Mapping[str, Any]) -> Iterator[str]:
    found = results_of(sections, "kernel_bandwidth")
    shares = {name: r["of_copy"] for name, r in found.items() if isinstance(r, Mapping) and "of_copy" in r}
    if shares:
        low = {name: share for name, share in shares.items() if share < 0.8}
        yield f"{_verdict(not low)} {len(shares) - len(low)} of {len(shares)} kernels at >= 80 % of the copy"


def _rate_target(sections: Mapping[str, Any]) -> Iterator[str]:
    case = results_of(sections, "throughput").get(case_name(WIDE, 8192, "bf16"), {})
    large = results_of(sections, "gemm_rate").get("8192_cubed_bf16")
    if large and OURS in case.get("results", {}):
        flops = Work(8192, units=WIDE, n_steps=1).step_flops
        got = flops / (1e-6 * case["results"][OURS]["us_per_step"][0]) / large["flops_per_s"]
        yield f"{_verdict(got >= 0.7)} {got:.0%} of the rate of products over a whole step, 2048 wide, batch 8192, bf16"


_PARTS = {
    "facts": _facts,
    "bandwidth of kernels": _bandwidth,
    "matrix products": _gemm,
    "a step with fused dense layers": _dense_layers,
    "throughput": _throughput,
    "a step and an epoch": _anatomy,
    "a step of the persistent kernel, and steps that lack a part": _phases,
    "targets": _targets,
}
