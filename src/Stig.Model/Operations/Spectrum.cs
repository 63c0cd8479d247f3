using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>What of the complex inverse transform becomes the image; the numbers are those of the native ABI.</summary>
internal enum ImageComponent
{
    /// <summary>|z|, as the paper has it.</summary>
    Modulus = 0,

    /// <summary>Re z: the inverse transform of the even part of the magnitude.</summary>
    Real = 1,
}

/// <summary>The last shift of the inverse transform; they differ for odd sizes only. The numbers are those of the native ABI.</summary>
internal enum FinalShift
{
    /// <summary>Roll by floor(n / 2), as the reference implementation does, although that is no inverse for odd n.</summary>
    Shift = 0,

    /// <summary>Roll by -floor(n / 2): the true inverse.</summary>
    Inverse = 1,
}

/// <summary>
/// Per channel F = fftshift(FFT2(fftshift(x))), unnormalised. Outputs: log magnitude M = log(1 + |F|) [N, C, H, W]; phasor P = F / |F|
/// (1 where F = 0), complex, a constant to the gradient rule. Paper section 3: the magnitude is translated, the phase kept.
/// </summary>
internal sealed record LogSpectrum : Operation
{
    public override string Name => "log_spectrum";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        TensorType src = inputs[0].Type;
        Require(src.Shape.Rank == 4 && src.Layout == TensorLayout.Plain, inputs, "images [N, C, H, W]");
        return [src, TensorType.Complex(src.Shape)];
    }

    public override bool MayOmit(int output) => output == 1;

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new LogSpectrumBackward(), context.Output(0), context.Output(1), context.OutputGradient())];
}

/// <summary>Inputs: M, P, gradient of M. Output: gradient of the image.</summary>
internal sealed record LogSpectrumBackward : Operation
{
    public override string Name => "log_spectrum_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>
/// z = shift(IFFT2(ifftshift((exp(M) - 1) P))), with 1 / (H W). Inputs: M, P (a constant). Outputs: |z| or Re z; z itself, complex, which
/// the gradient of the modulus needs.
/// </summary>
internal sealed record InverseSpectrum(ImageComponent Component, FinalShift FinalShift) : Operation
{
    public override string Name => "inverse_spectrum";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Layout == TensorLayout.Plain && inputs[1].Type == TensorType.Complex(inputs[0].Shape), inputs,
            "a magnitude [N, C, H, W] and a complex phasor of that shape");
        return [inputs[0].Type, TensorType.Complex(inputs[0].Shape)];
    }

    public override bool MayOmit(int output) => output == 1;

    public override Value?[] Differentiate(GradientContext context)
    {
        var operation = new InverseSpectrumBackward(Component, FinalShift);
        Value gradient = context.OutputGradient();
        Value magnitude = Component == ImageComponent.Modulus
            ? context.Graph.ApplySingle(operation, context.Input(0), context.Input(1), gradient, context.Output(1))
            : context.Graph.ApplySingle(operation, context.Input(0), context.Input(1), gradient);
        return [magnitude, null];
    }
}

/// <summary>Inputs: M, P, gradient of the image, and z for the modulus. Output: gradient of M.</summary>
internal sealed record InverseSpectrumBackward(ImageComponent Component, FinalShift FinalShift) : Operation
{
    public override string Name => "inverse_spectrum_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

internal static class SpectrumExtensions
{
    /// <summary>Log magnitude and phasor; see <see cref="Operations.LogSpectrum"/>.</summary>
    public static (Value Magnitude, Value Phasor) LogSpectrum(this Graph graph, Value image)
    {
        IReadOnlyList<Value> outputs = graph.Apply(new LogSpectrum(), image);
        return (outputs[0], outputs[1]);
    }

    public static Value InverseSpectrum(this Graph graph, Value magnitude, Value phasor, ImageComponent component, FinalShift finalShift) =>
        graph.ApplySingle(new InverseSpectrum(component, finalShift), magnitude, phasor);
}
