using Stig.SelfTest.Cases;

namespace Stig.SelfTest;

/// <summary>Every case of every operation.</summary>
internal static class OperationCases
{
    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. ElementwiseCases.All,
        .. SelectionCases.All,
        .. ConvolutionCases.Direct,
        .. NormalizationCases.All,
        .. ResampleCases.All,
        .. SpectrumCases.All,
        .. LevelCases.All,
        .. RangeCases.All,
        .. LossCases.All,
        .. PatchCases.All,
        .. OptimizerCases.All,
        .. PixelCases.All,
        .. ChainCases.All,
        .. TailCases.All,
    ];
}
