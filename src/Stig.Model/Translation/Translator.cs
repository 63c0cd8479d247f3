using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Translation;

/// <summary>A spectrum inside a graph.</summary>
/// <param name="Magnitude">M = log(1 + |F|), [N, 3, H, W]; with the filter added where the model has one.</param>
/// <param name="Phasor">F / |F|, complex.</param>
/// <param name="Normalized">M scaled to [-1, 1].</param>
/// <param name="Lo">Smallest value of M, per image or of the batch.</param>
/// <param name="Hi">Largest value of M.</param>
internal sealed record Spectrum(Value Magnitude, Value Phasor, Value Normalized, Value Lo, Value Hi)
{
    /// <summary>For <see cref="Preset.Default"/>: M of the image as it is.</summary>
    public Value? Original { get; init; }

    /// <summary>For <see cref="Preset.Default"/>: what the closed form adds to it.</summary>
    public Value? Change { get; init; }

    /// <summary>For <see cref="Preset.Default"/>: spectral levels of M with the filter added, [N, 3, grid, grid].</summary>
    public Value? FilteredLevels { get; init; }

    /// <summary>For <see cref="Preset.Default"/>: how much of the refinement each image gets, [N, 1].</summary>
    public Value? Gate { get; init; }
}

/// <summary>A translated spectrum.</summary>
/// <param name="Magnitude">M', log magnitude.</param>
/// <param name="Normalized">M' scaled to [-1, 1], as the discriminator and the contrastive loss see it.</param>
internal sealed record TranslatedSpectrum(Value Magnitude, Value Normalized);

/// <summary>
/// The path from images to refined images as graph nodes (paper section 3; docs/method.md): analyse, translate the log magnitude, put it
/// together again with the phase. Training and refinement build on the same three calls.
/// </summary>
/// <param name="architecture">How the model computes.</param>
/// <param name="eachAlone">
/// Whether every image is treated as if it were alone in its batch, as refinement does; otherwise
/// <see cref="Preset.Official"/> rolls and scales over the batch.
/// </param>
internal sealed class Translator(ModelArchitecture architecture, bool eachAlone = false)
{
    /// <summary>Name of the closed-form filter's parameter at the size of training, [3, S, S].</summary>
    public const string FilterName = "filter";

    private const float Scale = 2f;
    private const float Offset = -1f;

    private bool Official => architecture.Preset == Preset.Official;

    // A batch of one has the statistics of its image.
    private NormalizationMode Normalization =>
        eachAlone && architecture.Normalization == NormalizationMode.Batch ? NormalizationMode.PerImage : architecture.Normalization;

    /// <summary>Name of the filter's parameter at a size: at others than that of training it is resampled
    /// (<see cref="FilterResampler"/>).</summary>
    public string FilterNameAt(int height, int width) =>
        height == architecture.Size && width == architecture.Size ? FilterName : $"{FilterName}.{height}x{width}";

    /// <summary>
    /// Spectra of images [N, 3, H, W] in [0, 1]. The reference implementation's shift, called without an axis list, also rolls batch and
    /// channels; <see cref="Preset.Official"/> keeps that, because the weights of its networks depend on it.
    /// </summary>
    public Spectrum Analyze(Graph graph, Value images)
    {
        (Value magnitude, Value phasor) =
            graph.LogSpectrum(Official ? graph.Roll(images, RolledImages(images), images.Shape.C / 2) : images);
        Value original = magnitude;
        Value? change = null;
        Value? filteredLevels = null;
        if (architecture.HasFilter)
        {
            Value filter = graph.Latest(graph.Parameter(
                FilterNameAt(images.Shape.H, images.Shape.W), new Shape(images.Shape.C, images.Shape.H, images.Shape.W)));
            if (architecture.HasLevels)
            {
                filteredLevels = LevelTransport.Levels(graph, graph.Relu(graph.Add(magnitude, filter)), architecture.LevelGrid);
                change = graph.Add(
                    LevelTransport.Change(graph, filteredLevels, images.Shape.H, images.Shape.W, ModelArchitecture.ProtectedRadius), filter);
                magnitude = graph.Relu(graph.Add(magnitude, change));
            }
            else
            {
                // A log magnitude is never negative.
                magnitude = graph.Relu(graph.Add(magnitude, filter));
            }
        }

        (Value normalized, Value lo, Value hi) = Normalize(graph, magnitude);
        return new Spectrum(magnitude, phasor, normalized, lo, hi)
        {
            Original = original,
            Change = change,
            FilteredLevels = filteredLevels,
            Gate = architecture.HasLevels ? architecture.Gate.Apply(graph, LevelTransport.Levels(graph, original, architecture.LevelGrid)) : null,
        };
    }

    /// <summary>Scales log magnitudes to [-1, 1]: per image, or over the batch as the reference implementation does.</summary>
    public (Value Normalized, Value Lo, Value Hi) Normalize(Graph graph, Value magnitude) =>
        graph.RangeNormalize(magnitude, perImage: eachAlone || !Official, Scale, Offset);

    /// <summary>
    /// Translates spectra in one pass of the generator over all of them, as training does with fake and real ones; without a network the
    /// filter has done it already.
    /// </summary>
    public TranslatedSpectrum[] Translate(Graph graph, bool trackRunning, params Spectrum[] spectra)
    {
        if (!architecture.HasNetwork)
        {
            return [.. spectra.Select(spectrum => new TranslatedSpectrum(spectrum.Magnitude, spectrum.Normalized))];
        }

        Value output = architecture.Generator.Apply(
            graph, graph.Concat(Axis.Batch, [.. spectra.Select(spectrum => spectrum.Normalized)]), Normalization, trackRunning);
        var translated = new TranslatedSpectrum[spectra.Length];
        int start = 0;
        for (int i = 0; i < spectra.Length; i++)
        {
            Spectrum spectrum = spectra[i];
            Value part = graph.Slice(output, Axis.Batch, start, spectrum.Normalized.Shape.N);
            start += spectrum.Normalized.Shape.N;
            translated[i] = Official
                ? new TranslatedSpectrum(graph.RangeDenormalize(part, spectrum.Lo, spectrum.Hi, Scale, Offset), part)
                : AddResidual(graph, spectrum, part);
        }

        return translated;
    }

    /// <summary>Images of log magnitudes and phasors, not limited to [0, 1].</summary>
    public Value Synthesize(Graph graph, Value magnitude, Value phasor)
    {
        if (!Official)
        {
            return graph.InverseSpectrum(magnitude, phasor, ImageComponent.Modulus, FinalShift.Inverse);
        }

        Value images = graph.InverseSpectrum(magnitude, phasor, ImageComponent.Modulus, FinalShift.Shift);
        return graph.Roll(images, -RolledImages(images), -(images.Shape.C / 2));
    }

    private int RolledImages(Value images) => eachAlone ? 0 : images.Shape.N / 2;

    // The network's output, in (-1, 1), is a further change of the log magnitude of at most the gain, outside the protected disc; the gate
    // says how much of both changes an image gets.
    private TranslatedSpectrum AddResidual(Graph graph, Spectrum spectrum, Value residual)
    {
        Shape shape = residual.Shape;
        Value extent = graph.SpreadLevels(
            graph.Fill(new Shape(1, shape.C, 1, 1), (float)architecture.ResidualGain), shape.H, shape.W, ModelArchitecture.ProtectedRadius);
        Value change = graph.ScaleImages(graph.Add(graph.Multiply(residual, extent), spectrum.Change!), spectrum.Gate!);
        Value magnitude = graph.Relu(graph.Add(change, spectrum.Original!));
        return new TranslatedSpectrum(magnitude, Normalize(graph, magnitude).Normalized);
    }
}
