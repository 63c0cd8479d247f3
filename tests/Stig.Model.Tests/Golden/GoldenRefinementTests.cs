using System.Globalization;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Imaging;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Refinement;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the reference's inference on images of several sizes, one at a time, with a trained generator (file 08). Tolerance:
/// <see cref="Tolerance"/>.
/// </summary>
public sealed class GoldenRefinementTests : RefinementReference
{
    private protected override Executor Open() => new CpuExecutor();
}

/// <summary>The same on the CUDA executor.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class CudaGoldenRefinementTests : RefinementReference
{
    private protected override Executor Open()
    {
        SimulatedCuda.Require();
        return new CudaExecutor(0);
    }
}

/// <summary>The comparisons, for each executor.</summary>
public abstract class RefinementReference
{
    [Fact]
    public void Refined_images_and_spectra_match()
    {
        using GoldenFile file = GoldenFolder.Open("08_evaluation");
        var check = new GoldenCheck(file);
        foreach (string image in file.Between("", ".input"))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Graph graph = run.Graph;
            Value input = run.Input(file, $"{image}.input");
            ModelArchitecture architecture = Architecture(file, input);
            var translator = new Translator(architecture);
            Spectrum spectrum = translator.Analyze(graph, input);
            TranslatedSpectrum translated = translator.Translate(graph, trackRunning: false, spectrum)[0];
            Value refined = translator.Synthesize(graph, translated.Magnitude, spectrum.Phasor);
            Value stretched = graph.RangeNormalize(refined, perImage: false).Normalized;
            run.Expect(check, $"{image}.A_vmax", spectrum.Hi);
            run.Expect(check, $"{image}.A_vmin", spectrum.Lo);
            run.Expect(check, $"{image}.fake_B", translated.Normalized);
            run.Expect(check, $"{image}.denoised_image_A", refined);
            run.Expect(check, $"{image}.denoised_image_normed", stretched);
            run.Expect(
                check, $"{image}.denoised_image_normed", RefineGraph.Build(graph, architecture, input, OutputRange.Stretch));
            run.Expect(check, $"{image}.denoised_mag", ScaledMagnitude(graph, stretched));
            run.Expect(
                check, $"{image}.input_mag", ScaledMagnitude(graph, graph.RangeNormalize(input, perImage: false).Normalized));
            run.Run();
        }

        check.Finish();
    }

    [Theory]
    [InlineData("noise", 0.001)]
    [InlineData("denoised", 0.02)]
    public void Written_pixels_match(string folder, double share)
    {
        // floor(255 v) moves by one where v lies within its error of a step: some 5e-5 of the result's norm, 255 times that
        // is one value in a hundred; the stretched input has errors of 3e-8.
        using GoldenFile file = GoldenFolder.Open("08_evaluation");
        foreach ((int number, RgbImage expected) in Pictures(file, folder))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Value input = run.Input(file, $"img{number}.input");
            Value image = folder == "noise"
                ? run.Graph.RangeNormalize(input, perImage: false).Normalized
                : RefineGraph.Build(run.Graph, Architecture(file, input), input, OutputRange.Stretch);
            run.ReadBytes(run.Graph.PackPixels(image, PixelRounding.Down), pixels =>
            {
                int[] differences = [.. pixels.Zip(expected.Pixels, (a, b) => Math.Abs(a - b))];
                Assert.True(differences.Max() <= 1, $"{folder} {number}: a value differs by {differences.Max()}.");
                Assert.InRange(differences.Average(), 0, share);
            });
            run.Run();
        }
    }

    [Theory]
    [InlineData("noise_mag", "input_mag")]
    [InlineData("denoised_mag", "denoised_mag")]
    public void Written_spectra_match(string folder, string tensor)
    {
        // Mean over the channels, stretched, as an index into the reference's colours: one index off at most, and that for 2
        // of 100.
        using GoldenFile file = GoldenFolder.Open("08_evaluation");
        using GoldenFile colours = GoldenFolder.Open("09_metrics");
        long[] table = colours.Integers("jet_table");
        foreach ((int number, RgbImage expected) in Pictures(file, folder))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Value input = run.Input(file, $"img{number}.input");
            Value image = tensor == "input_mag"
                ? run.Graph.RangeNormalize(input, perImage: false).Normalized
                : RefineGraph.Build(run.Graph, Architecture(file, input), input, OutputRange.Stretch);
            run.Read(ScaledMagnitude(run.Graph, image), values =>
            {
                int area = values.Length / 3;
                float[] mean = [.. Enumerable.Range(0, area)
                    .Select(i => Math.Clamp((values[i] + values[area + i] + values[(2 * area) + i]) / 3, 0, 1))];
                (float low, float high) = (mean.Min(), mean.Max());
                int[] differences = [.. mean.Select((value, i) =>
                {
                    int index = Math.Min((int)(256 * ((value - low) / (high - low))), 255);
                    return DistanceToColour(table, index, expected.Pixels.AsSpan(3 * i, 3));
                })];
                Assert.True(differences.Max() <= 1, $"{folder} {number}: a colour differs by {differences.Max()}.");
                Assert.InRange(differences.Average(), 0, 0.02);
            });
            run.Run();
        }
    }

    private protected abstract Executor Open();

    private static ModelArchitecture Architecture(GoldenFile file, Value input) =>
        new(Preset.Official, input.Shape.H, GeneratorReference.Generator(file).Width, NormalizationMode.Batch);

    // The pictures of a folder, numbered like the images of the file.
    private static IEnumerable<(int Number, RgbImage Image)> Pictures(GoldenFile file, string folder)
    {
        string first = GoldenFolder.Require(Path.Combine("inference_pngs", folder, "000000.png"));
        string[] paths = Directory.GetFiles(Path.GetDirectoryName(first)!, "*.png");
        return paths
            .Select(path => (Number: int.Parse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture), path))
            .Where(picture => file.Has($"img{picture.Number}.input"))
            .Select(picture => (picture.Number, ImageCodec.Load(picture.path)));
    }

    // Steps in the table from an index to the nearest entry of that colour.
    private static int DistanceToColour(long[] table, int index, ReadOnlySpan<byte> colour)
    {
        int nearest = int.MaxValue;
        for (int entry = 0; entry < table.Length / 3; entry++)
        {
            if (table[3 * entry] == colour[0] && table[(3 * entry) + 1] == colour[1] && table[(3 * entry) + 2] == colour[2])
            {
                nearest = Math.Min(nearest, Math.Abs(entry - index));
            }
        }

        return nearest;
    }

    private static Value ScaledMagnitude(Graph graph, Value images) =>
        graph.RangeNormalize(graph.LogSpectrum(images).Magnitude, perImage: true).Normalized;
}
