"""The plots of a profile, as SVG text that stands in a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sightline_bench.pages import units
from sightline_bench.pages.plotting import AMBER, BLUE, CONTRAST, GREEN, GREY, INK, LIME, QUIET, VIOLET, drawn, dress
from sightline_bench.profile import wording
from sightline_bench.profile.layers import Layer, LayerTable
from sightline_bench.profile.profile import Profile
from sightline_bench.profile.roofline import Roof

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGE_COLOURS = {
    "read": GREY,
    "decode": "#38bdf8",
    "letterbox": BLUE,
    "network": GREEN,
    "NMS": LIME,
    "Triton": VIOLET,
    "transport": AMBER,
    "write": CONTRAST,
}
_KIND_COLOURS = (GREEN, BLUE, AMBER, VIOLET, CONTRAST, LIME)
_OTHER_COLOUR = GREY
_ROOF_COLOURS = {"fp32": INK, "bf16": BLUE, "fp16": BLUE, "int8": VIOLET}
_LEAST_LABELLED = 0.07
"""Share of the layers that a part needs for its name to have room."""
_ALIKE = 0.03
"""Peaks that differ by less are one line."""


def stages_plot(profile: Profile) -> str:
    """What a served picture's time is made of: one bar, and one for all but the largest stage."""
    stages = dict(profile.served.stages)
    most = max(stages, key=lambda name: stages[name])
    rest = {name: value for name, value in stages.items() if name != most}

    def draw(axes: Axes) -> None:
        rows = [("whole", stages), (f"without\n{most}", rest)]
        for place, (_, parts) in enumerate(rows):
            whole, left = sum(parts.values()), 0.0
            for name, value in parts.items():
                share = value / whole if whole else 0.0
                axes.barh(place, share, left=left, height=0.62, color=STAGE_COLOURS[name], edgecolor="white")
                if share > 0.075:
                    label = f"{name}\n{units.milliseconds(value)}"
                    axes.text(left + share / 2, place, label, ha="center", va="center", color="white", fontsize=8.5)
                left += share
        axes.set_yticks(
            range(len(rows)), [f"{name}\n{units.milliseconds(sum(parts.values()))}" for name, parts in rows]
        )
        axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        dress(axes, grid="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)

    return drawn(2.1, draw, salt="stages")


def roofline_plot(profile: Profile, table: LayerTable) -> str:
    """Operations a second over operations per byte: the roofs, each layer, and the network as a whole."""
    roof = profile.comparison.roof
    shown = [layer for layer in table.layers if layer.flops and layer.intensity and layer.milliseconds]

    def draw(axes: Axes) -> None:
        points = [layer.intensity or 1.0 for layer in shown] or [1.0]
        left = min(*points, roof.ridge(table.precision)) / 2
        right = max(*points, roof.ridge(table.precision)) * 2
        _draw_roofs(axes, roof, table.precision, left, right)
        _draw_layers(axes, shown, table)
        lowest = min([layer.flops_per_second for layer in shown], default=roof.peak("fp32"))
        highest = max([*roof.flops_per_second.values(), *(layer.flops_per_second for layer in shown)])
        axes.set(xlim=(left, right), ylim=(min(lowest, left * roof.bytes_per_second) / 2e9, highest * 2.2 / 1e9))
        axes.set(xlabel="operations per byte (FLOP/byte)", ylabel="GFLOP/s")
        dress(axes)
        axes.legend(loc="lower right", frameon=False, fontsize=8.5, ncols=2)

    return drawn(5.0, draw, salt=f"roofline {table.source}")


def _draw_roofs(axes: Axes, roof: Roof, main: str, left: float, right: float) -> None:
    axes.set(xscale="log", yscale="log")
    main_peak = roof.peak(main)
    for precision, peak in roof.flops_per_second.items():
        if precision != main and abs(peak / main_peak - 1) < _ALIKE:
            continue
        colour = _ROOF_COLOURS.get(precision, QUIET)
        ridge = roof.ridge(precision)
        style = "-" if precision == main else (0, (5, 4))
        heights = [left * roof.bytes_per_second / 1e9, peak / 1e9, peak / 1e9]
        axes.plot(
            [left, ridge, right], heights, color=colour, linewidth=2.0 if precision == main else 1.1, linestyle=style
        )
        axes.annotate(
            f"{precision} peak {wording.gflops(peak)}",
            (right, peak / 1e9),
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=colour,
        )
    middle = (left * roof.ridge(main)) ** 0.5
    axes.annotate(
        f"memory {roof.bytes_per_second / 1e9:.1f} GB/s",
        (middle, middle * roof.bytes_per_second / 1e9),
        xytext=(8, -10),
        textcoords="offset points",
        ha="left",
        fontsize=8.5,
        color=INK,
    )
    axes.axvline(roof.ridge(main), color=QUIET, linewidth=0.9, linestyle=":")
    for text, alignment, offset in (("memory-bound", "right", -6), ("compute-bound", "left", 6)):
        axes.annotate(
            text,
            (roof.ridge(main), 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=alignment,
            fontsize=8.5,
            color=QUIET,
        )


def _draw_layers(axes: Axes, layers: Sequence[Layer], table: LayerTable) -> None:
    for kind, colour in _colours(table).items():
        of_kind = [layer for layer in layers if layer.kind == kind or (not kind and layer.kind not in _colours(table))]
        if not of_kind:
            continue
        axes.scatter(
            [layer.intensity or 0 for layer in of_kind],
            [layer.flops_per_second / 1e9 for layer in of_kind],
            s=[12 + 2600 * table.share(layer) for layer in of_kind],
            color=colour,
            alpha=0.55,
            linewidths=0.6,
            edgecolors="white",
            label=kind or "other",
        )
    if table.intensity is not None:
        whole = sum(layer.flops for layer in table.layers) / (table.milliseconds / 1000) / 1e9
        axes.scatter(
            [table.intensity], [whole], marker="*", s=240, color=CONTRAST, edgecolors="white", label="network", zorder=5
        )


def _colours(table: LayerTable) -> dict[str, str]:
    """A colour for each of the kinds that take longest; the empty one is for all others."""
    kinds = list(table.by_kind())[: len(_KIND_COLOURS)]
    return {**dict(zip(kinds, _KIND_COLOURS, strict=False)), "": _OTHER_COLOUR}


def batches_plot(profile: Profile) -> str:
    """Throughput and latency over the batch size."""
    points = profile.batches.points

    def draw(axes: Axes) -> None:
        sizes = [point.batch for point in points]
        axes.plot(sizes, [point.images_per_second for point in points], color=GREEN, marker="o", linewidth=2.2)
        axes.set_ylabel("images/s", color=GREEN)
        axes.set(xscale="log", xlabel="pictures in a batch", ylim=(0, max(p.images_per_second for p in points) * 1.2))
        axes.set_xticks(sizes, list(map(str, sizes)))
        axes.minorticks_off()
        dress(axes)
        beside = axes.twinx()
        beside.plot(sizes, [point.seconds for point in points], color=AMBER, marker="s", linewidth=1.4, linestyle="--")
        beside.set_ylabel("seconds for a batch", color="#b45309")
        beside.set_ylim(bottom=0)
        beside.spines[["top", "left"]].set_visible(False)
        beside.tick_params(colors=QUIET, labelcolor=INK)
        beside.minorticks_off()

    return drawn(3.0, draw, salt="batches")


def variants_plot(profile: Profile) -> str:
    """Latency of every way, with its spread."""
    measured = profile.comparison.measured

    def draw(axes: Axes) -> None:
        for place, each in enumerate(measured):
            taken = each.milliseconds
            colour = GREEN if place == 0 else "#5eaaa3"
            axes.barh(place, taken.median, height=0.6, color=colour)
            axes.plot([taken.low, taken.high], [place, place], color=INK, linewidth=1.6, solid_capstyle="butt")
            text = f"{units.milliseconds(taken.median)} · {units.percent(each.peak_share.median)} of peak"
            axes.annotate(
                text, (taken.high, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8.5
            )
        axes.set_yticks(range(len(measured)), [each.variant.name for each in measured])
        axes.set(xlim=(0, max(each.milliseconds.high for each in measured) * 1.3), ylim=(len(measured) - 0.5, -0.5))
        axes.set_xlabel("ms for a picture")
        dress(axes, grid="x")

    return drawn(0.8 + 0.42 * len(measured), draw, salt="variants")


def layers_plot(profile: Profile, table: LayerTable) -> str:
    """Every layer in order: its height is its time, its colour how near it comes to the peak."""
    roof = profile.comparison.roof

    def draw(axes: Axes) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        colours = colormaps["viridis"]
        reached = [
            layer.flops_per_second / roof.peak(layer.precision) if layer.flops else None for layer in table.layers
        ]
        filled = [_OTHER_COLOUR if share is None else colours(min(1.0, share)) for share in reached]
        axes.bar(range(len(filled)), [layer.milliseconds for layer in table.layers], width=1.0, color=filled)
        axes.set(
            xlim=(-1, len(filled)), xlabel="layers in the order in which they run (grey: no arithmetic)", ylabel="ms"
        )
        borders = list(_borders(table))
        ends = [begin for _, begin in borders[1:]] + [len(filled)]
        for (part, begin), end in zip(borders, ends, strict=True):
            axes.axvline(begin - 0.5, color=QUIET, linewidth=0.8, linestyle=":")
            if end - begin < _LEAST_LABELLED * len(filled):
                continue
            axes.annotate(
                part,
                (begin, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -9),
                textcoords="offset points",
                fontsize=8.5,
                color=QUIET,
            )
        dress(axes, grid="y")
        scale = ScalarMappable(Normalize(0, 100), colours)
        axes.figure.colorbar(scale, ax=axes, label="% of peak", pad=0.01, aspect=18)

    return drawn(2.9, draw, salt=f"layers {table.source}")


def _borders(table: LayerTable) -> Iterator[tuple[str, int]]:
    """Where each part has its first layer."""
    seen: set[str] = set()
    for place, layer in enumerate(table.layers):
        if layer.part and layer.part not in seen:
            seen.add(layer.part)
            yield layer.part, place
