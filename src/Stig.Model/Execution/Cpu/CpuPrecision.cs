using Stig.Interop;

namespace Stig.Model.Execution.Cpu;

/// <summary>Which arithmetic the processor is good at.</summary>
internal static class CpuPrecision
{
    private const string Tiles = "AMX", Vectors = "AVX-512 BF16";

    /// <summary>Whether the processor multiplies bfloat16 numbers, and oneDNN makes use of that.</summary>
    public static bool HasBf16 => NativeCore.Info.DnnlIsa is Vectors or Tiles;

    /// <summary>The faster arithmetic, see <see cref="Suited"/>.</summary>
    /// <param name="winograd">Whether float32 may use Winograd.</param>
    public static Precision Faster(bool winograd) => Suited(NativeCore.Info.DnnlIsa, winograd);

    /// <summary>
    /// The faster arithmetic by the instruction set: tiles multiply bfloat16 many times faster than float32; with vectors it is twice as
    /// fast, which Winograd makes up for. Timing it here would give other results from one start of the program to the next wherever the
    /// two are close, and so mixed outputs in one folder.
    /// </summary>
    /// <param name="isa">The instruction set, as oneDNN calls it.</param>
    /// <param name="winograd">Whether float32 may use Winograd.</param>
    internal static Precision Suited(string isa, bool winograd) => isa switch
    {
        Tiles => Precision.Bf16,
        Vectors when !winograd => Precision.Bf16,
        _ => Precision.F32,
    };
}
