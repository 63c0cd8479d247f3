using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the reference's spectrum, its inverse and their gradients (files 01, 01b). Tolerance: <see cref="Tolerance"/>.
/// </summary>
public sealed class GoldenSpectrumTests : SpectrumReference
{
    private protected override bool HasGradients => true;

    private protected override Executor Open() => new CpuExecutor();
}

/// <summary>The same on the CUDA executor, forward.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class CudaGoldenSpectrumTests : SpectrumReference
{
    private protected override bool HasGradients => false;

    private protected override Executor Open()
    {
        SimulatedCuda.Require();
        return new CudaExecutor(0);
    }
}

/// <summary>The comparisons, for each executor.</summary>
public abstract class SpectrumReference
{
    private protected abstract bool HasGradients { get; }

    private protected abstract Executor Open();

    [Theory]
    [InlineData("01_spectrum", "fft_real")]
    [InlineData("01_spectrum", "fft_imag")]
    [InlineData("01_spectrum", "magnitude")]
    [InlineData("01_spectrum", "phase")]
    [InlineData("01_spectrum", "normalized")]
    [InlineData("01_spectrum", "vmax")]
    [InlineData("01_spectrum", "vmin")]
    [InlineData("01_spectrum", "inverse_normalized")]
    [InlineData("01_spectrum", "polar2img")]
    [InlineData("01_spectrum", "image_normalize")]
    [InlineData("01_spectrum", "get_magnitude")]
    [InlineData("01b_spectrum_large", "fft_real")]
    [InlineData("01b_spectrum_large", "fft_imag")]
    [InlineData("01b_spectrum_large", "magnitude")]
    [InlineData("01b_spectrum_large", "phase")]
    [InlineData("01b_spectrum_large", "normalized")]
    [InlineData("01b_spectrum_large", "vmax")]
    [InlineData("01b_spectrum_large", "vmin")]
    [InlineData("01b_spectrum_large", "polar2img")]
    [InlineData("01b_spectrum_large", "get_magnitude")]
    public void Quantity_of_every_example_matches(string name, string quantity)
    {
        using GoldenFile file = GoldenFolder.Open(name);
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("", "." + quantity))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Value image = run.Input(file, $"{example}.image");
            Spectrum spectrum = Official.Analyze(run.Graph, image);
            Value inverse = run.Graph.RangeDenormalize(spectrum.Normalized, spectrum.Lo, spectrum.Hi, 2f, -1f);
            Value stretched = run.Graph.RangeNormalize(image, perImage: false).Normalized;
            string tensor = $"{example}.{quantity}";
            switch (quantity)
            {
                case "fft_real" or "fft_imag":
                    int part = quantity == "fft_real" ? 0 : 1;
                    run.Read(spectrum.Magnitude, spectrum.Phasor, (magnitude, phasor) => check.Tensor(
                        tensor, [.. magnitude.Select((m, i) => (float)((Math.Exp(m) - 1) * phasor[(2 * i) + part]))]));
                    break;
                case "phase":
                    run.Read(spectrum.Magnitude, spectrum.Phasor, (magnitude, phasor) => check.Phase(tensor, phasor, magnitude));
                    break;
                default:
                    run.Expect(check, tensor, quantity switch
                    {
                        "magnitude" => spectrum.Magnitude,
                        "normalized" => spectrum.Normalized,
                        "vmax" => spectrum.Hi,
                        "vmin" => spectrum.Lo,
                        "inverse_normalized" => inverse,
                        "polar2img" => Official.Synthesize(run.Graph, inverse, spectrum.Phasor),
                        "image_normalize" => stretched,
                        "get_magnitude" => ScaledMagnitude(run.Graph, stretched),
                        _ => null,
                    });
                    break;
            }

            run.Run();
        }

        check.Finish();
    }

    [Fact]
    public void Image_and_gradient_of_a_spectrum_without_symmetry_match()
    {
        using GoldenFile file = GoldenFolder.Open("01_spectrum");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("", ".perturbed.magnitude"))
        {
            string part = $"{example}.perturbed";
            using Evaluation run = new(file.Floats, executor: Open());
            Value magnitude = run.Input(file, $"{part}.magnitude");
            float[] parts = [.. file.Floats($"{part}.phase")
                .SelectMany(phase => new[] { (float)Math.Cos(phase), (float)Math.Sin(phase) })];
            Value phasor = run.Input("phasor", TensorType.Complex(magnitude.Shape), parts);
            Value image = Official.Synthesize(run.Graph, magnitude, phasor);
            run.Expect(check, $"{part}.polar2img", image);
            ExpectGradients(run, check, image, run.Input(file, $"{part}.cotangent"), ($"{part}.grad_magnitude", magnitude));
            run.Run();
        }

        check.Finish();
    }

    [Fact]
    public void Magnitude_of_an_image_and_gradient_match()
    {
        using GoldenFile file = GoldenFolder.Open("01_spectrum");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("", ".remag.image"))
        {
            string part = $"{example}.remag";
            using Evaluation run = new(file.Floats, executor: Open());
            Value image = run.Input(file, $"{part}.image");
            Value stretched = run.Graph.RangeNormalize(image, perImage: false).Normalized;
            Value magnitude = ScaledMagnitude(run.Graph, stretched);
            run.Expect(check, $"{part}.image_normalize", stretched);
            run.Expect(check, $"{part}.get_magnitude", magnitude);
            ExpectGradients(run, check, magnitude, run.Input(file, $"{part}.cotangent"), ($"{part}.grad_image", image));
            run.Run();
        }

        check.Finish();
    }

    private void ExpectGradients(Evaluation run, GoldenCheck check, Value value, Value cotangent, (string Tensor, Value Variable) gradient)
    {
        if (HasGradients)
        {
            run.ExpectGradients(check, value, cotangent, gradient);
        }
    }

    // Size and width do not matter to the spectrum.
    private static Translator Official { get; } = new(new ModelArchitecture(Preset.Official, 64, 8, NormalizationMode.Batch));

    private static Value ScaledMagnitude(Graph graph, Value images) =>
        graph.RangeNormalize(graph.LogSpectrum(images).Magnitude, perImage: true).Normalized;
}
