namespace Stig.Model.Tests.Golden;

/// <summary>How a difference is measured.</summary>
internal enum Measure
{
    /// <summary>L2 norm of the difference over L2 norm of the reference.</summary>
    RelativeL2,

    /// <summary>Largest absolute difference.</summary>
    Largest,
}

/// <summary>
/// How close a tensor has to be to its reference: the rules of the reference's README, section "How tight can a comparison
/// be", all of them here but those of the trajectory, which are not about single tensors.
/// </summary>
internal readonly record struct Tolerance(Measure Measure, double Bound)
{
    /// <summary>Tolerance over the reference's own error: an implementation that rounds elsewhere is as wrong as it, in
    /// another direction.</summary>
    public const double Margin = 10;

    /// <summary>Floor of every relative tolerance: float32 arithmetic over sums of many terms.</summary>
    public const double Floor = 1e-5;

    // The weakest bins are uncertain by up to 1e-4 of a magnitude, and through the smallest value so is all that is scaled by
    // it.
    private const double SpectralFloor = 1e-4;

    // The smallest magnitude is near 0, so that its relative error says nothing.
    private const double SmallestValue = 2e-5;

    // A ReLU or pooling decision that rounding turns over changes a gradient by a finite amount. Where that has happened to
    // the reference itself, whoever decides rightly is off by the reference's own error, and may be off by as much elsewhere.
    private const double Unprotected = 3e-2;
    private const double Flipped = 2;

    // Rounding of a sum that cancels exactly, in units of the gradient of the weights of the same layer.
    private const double Cancellation = 1e-5;

    private static readonly string[] ScaledBySmallestValue =
    [
        "normalized", "get_magnitude", "denoised_mag", "input_mag", "real_A", "real_B", "fake_B", "idt_B",
        "real_psd", "denoised_psd",
    ];

    public static Tolerance Of(string file, string tensor)
    {
        Discrepancy? known = Discrepancies.Find(file, tensor);
        string last = tensor[(tensor.LastIndexOf('.') + 1)..];
        if (known is { IsZero: true })
        {
            // True value 0: absolute, as far as the reference's own noise or the rounding of the layer's larger gradient goes.
            double scale = Discrepancies.Find(file, tensor[..^"bias".Length] + "weight")?.LargestValue ?? 0;
            return new Tolerance(Measure.Largest, Math.Max(Margin * known.LargestDifference, Cancellation * scale));
        }

        if (last.EndsWith("vmin", StringComparison.Ordinal))
        {
            return new Tolerance(Measure.Largest, SmallestValue);
        }

        if (IsUnprotectedGradient(file, tensor))
        {
            return new Tolerance(Measure.RelativeL2, Math.Max(Unprotected, Flipped * (known?.RelativeL2 ?? 0)));
        }

        double floor = ScaledBySmallestValue.Contains(last) ? SpectralFloor : Floor;
        return new Tolerance(Measure.RelativeL2, Math.Max(Margin * (known?.RelativeL2 ?? 0), floor));
    }

    // Gradients at sizes where some pre-activations lie within rounding error of a switch; the others were chosen not to.
    private static bool IsUnprotectedGradient(string file, string tensor) =>
        (file == "06_forward" && tensor.StartsWith("grad_", StringComparison.Ordinal))
        || (file == "02_generator" && tensor.StartsWith("train_b", StringComparison.Ordinal)
            && tensor.Contains(".grad", StringComparison.Ordinal));
}
