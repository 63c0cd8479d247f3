using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Spectra of even, odd and prime sizes, their inverse with both components and both last shifts, and ring profiles.</summary>
internal static class SpectrumCases
{
    private static readonly Bound Transform =
        new(32 * Bound.Rounding, 64 * Bound.Rounding,
            "a float32 FFT: rounding grows with the logarithm of the size, or the size of a prime factor");

    // Where |F| is small against the spectrum's mean, the error of F is large against |F|, and so is that of its logarithm and phase.
    private static readonly Bound Relative =
        new(2e-5, 1e-3, "errors of the transform relative to single, possibly small, coefficients");

    private static readonly Bound Twice =
        new(64 * Bound.Rounding, 128 * Bound.Rounding,
            "two transforms, and exp(log(1 + |F|)) - 1, which turns absolute errors of M into relative ones");

    private static readonly Shape[] Sizes =
    [
        new(1, 1, 1, 1), new(2, 3, 6, 5), new(1, 3, 8, 12), new(2, 1, 7, 9), new(1, 1, 2, 1), new(1, 1, 33, 47),
    ];

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. Sizes.Select(LogSpectrum),
        Zeros(),
        .. from shape in Sizes
           from component in new[] { ImageComponent.Modulus, ImageComponent.Real }
           from shift in new[] { FinalShift.Shift, FinalShift.Inverse }
           where shift == FinalShift.Shift || shape.H % 2 == 1 || shape.W % 2 == 1
           select Inverse(shape, component, shift),
        .. new[] { new Shape(2, 3, 6, 5), new Shape(1, 1, 7, 9), new Shape(1, 3, 33, 47) }.Select(RoundTrip),
        .. from kind in new[] { RingKind.Rect, RingKind.Radial }
           from shape in new Shape[] { new(1, 3, 1, 1), new(2, 3, 6, 5), new(2, 1, 7, 9), new(1, 3, 16, 16), new(3, 3, 33, 47) }
           select Rings(kind, shape),
    ];

    private static OperationCase LogSpectrum(Shape shape) => new()
    {
        Name = $"log_spectrum/{shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Uniform(0, 1))],
        Build = (graph, x) =>
        {
            (Value magnitude, Value phasor) = graph.LogSpectrum(x[0]);
            return [magnitude, phasor];
        },
        Oracle = x => SpectrumOracles.LogSpectrum(x[0]),
        Outputs = [new("magnitude", Transform), new("phasor", Relative)],
        Gradient = Relative,
        PerImage = shape.N > 1,
    };

    // F = 0 everywhere: the magnitude is 0, the phasor 1 by definition.
    private static OperationCase Zeros() => new()
    {
        Name = "log_spectrum/image of zeros",
        Inputs =
        [
            CaseInput.Constant("src", new Shape(1, 3, 6, 5), Fills.Same(0)),
            CaseInput.Constant("gradient", new Shape(1, 3, 6, 5), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            (Value magnitude, Value phasor) = graph.LogSpectrum(x[0]);
            return [magnitude, phasor, graph.ApplySingle(new LogSpectrumBackward(), magnitude, phasor, x[1])];
        },
        Oracle = x => [.. SpectrumOracles.LogSpectrum(x[0]), new Tensor(x[0].Shape)],
        Outputs = [new("magnitude", Bound.Exact), new("phasor", Bound.Exact), new("gradient of src", Bound.Exact)],
    };

    // Magnitudes like those of an image's spectrum; for random phases the modulus of the result has no zero nearby.
    private static OperationCase Inverse(Shape shape, ImageComponent component, FinalShift shift) => new()
    {
        Name = $"inverse_spectrum/{component}, {shift}, {shape}".ToLowerInvariant(),
        Inputs =
        [
            CaseInput.Variable("magnitude", shape, Fills.Uniform(0.5, 3)),
            new CaseInput("phasor", TensorType.Complex(shape), Fills.Phasors),
        ],
        Build = (graph, x) => [.. graph.Apply(new InverseSpectrum(component, shift), x[0], x[1])],
        Oracle = x => SpectrumOracles.InverseSpectrum(x[0], x[1], component, shift),
        Outputs = [new("image", Transform), new("field", Transform)],
        Gradient = component == ImageComponent.Real ? Transform : Relative,
        PerImage = shape.N > 1,
    };

    // There and back is the identity, for odd sizes with the inverse shift only.
    private static OperationCase RoundTrip(Shape shape) => new()
    {
        Name = $"inverse_spectrum/inverts log_spectrum, {shape}",
        Inputs = [CaseInput.Constant("image", shape, Fills.Uniform(0.1, 1))],
        Build = (graph, x) =>
        {
            (Value magnitude, Value phasor) = graph.LogSpectrum(x[0]);
            return
            [
                graph.InverseSpectrum(magnitude, phasor, ImageComponent.Modulus, FinalShift.Inverse),
                graph.InverseSpectrum(magnitude, phasor, ImageComponent.Real, FinalShift.Inverse),
            ];
        },
        Oracle = x => [x[0], x[0]],
        Outputs = [new("modulus", Twice), new("real part", Twice)],
        PerImage = shape.N > 1,
    };

    private static OperationCase Rings(RingKind kind, Shape shape)
    {
        float[] weights = shape.C == 3 ? ChannelWeights.Luma.Span.ToArray() : [1f];
        return new OperationCase
        {
            Name = $"ring_profile/{kind}, {shape}".ToLowerInvariant(),
            Inputs = [CaseInput.Variable("spectrum", shape, Fills.Normal())],
            Build = (graph, x) => [graph.RingProfile(x[0], kind, new ChannelWeights(weights))],
            Oracle = x => [SpectrumOracles.RingProfile(x[0], kind, weights)],
            Outputs = [new("profile", Bound.Accumulation(3 * (shape.H + shape.W), "the pixels of a ring"))],
            Gradient = Bound.Elementwise,
            PerImage = shape.N > 1,
        };
    }
}
