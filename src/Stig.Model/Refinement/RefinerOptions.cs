using Stig.Model.Execution;

namespace Stig.Model.Refinement;

/// <summary>How a refined image is brought into [0, 1].</summary>
public enum OutputRange
{
    /// <summary>Values outside are cut off. Colours and contrast stay.</summary>
    Clamp,

    /// <summary>Each image is scaled from its smallest to its largest value, as the reference implementation saves images.</summary>
    Stretch,
}

/// <summary>Options of a <see cref="Refiner"/>.</summary>
public sealed record RefinerOptions
{
    /// <summary>Device: "auto", "cpu" or "cuda:N".</summary>
    public string Device { get; init; } = "auto";

    /// <summary>Arithmetic of the convolutions; null for the one that suits the device: bfloat16 on a GPU; on the CPU
    /// bfloat16 on a processor with AMX, without Winograd also with AVX-512 BF16, else float32.</summary>
    public Precision? Precision { get; init; }

    /// <summary>How refined images are brought into [0, 1].</summary>
    public OutputRange OutputRange { get; init; } = OutputRange.Clamp;

    /// <summary>Largest number of images computed together; any number can be passed. It changes memory and speed, never a
    /// result.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>
    /// Whether convolutions may use Winograd on the CPU: faster, with a rounding error about ten times that of the direct algorithm.
    /// </summary>
    public bool Winograd { get; init; } = true;

    /// <summary>
    /// Whether a GPU's work is shown to a profiler: queued node by node, each in a range of its own, between the start and the stop of the
    /// profiler. Slower than without.
    /// </summary>
    public bool Profile { get; init; }

    /// <summary>Receives warnings, each once; null drops them.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Whether the network's residual counts; without it the closed form and the gate are left, for comparisons.</summary>
    internal bool Residual { get; init; } = true;
}
